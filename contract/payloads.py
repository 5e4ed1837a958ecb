"""What crosses the boundary between API, workflow and activities; it lives on in workflow histories.

Shapes only, no rules (ADR 0003). A field may be added with a default. One that is renamed, removed or given
another meaning breaks the replay of open settlements: that needs `workflow.patched` and a line in CHANGELOG.md.
"""

from datetime import UTC, datetime
from enum import StrEnum

from pydantic import AliasChoices, Field

from contract.adjust import AdjustBody
from contract.calls import CallRecord, Verdict
from contract.ids import CancelKind
from contract.model import Model
from contract.states import CancelResult, Decision, State


class SettlementPolicy(Model):
    """How patient this settlement is. It travels with the start, so a replay never sees newer settings."""

    cancel_max_attempts: int
    """Attempts of one cancel in one round; then ABORTED."""
    cancel_initial_interval_s: float
    cancel_max_interval_s: float
    confirm_after_s: float
    """Quarantine before the confirming cancel; 0 turns the confirming cancel off."""
    expire_after_s: float
    """Age, counted from acceptance, from which an order is not sent any more."""


class SettlementInput(Model):
    """One accepted order."""

    adjust: AdjustBody
    trace: str
    """Sent as the header `trace` of every call of this settlement."""
    company_id: int | None = None
    accepted_at: datetime
    policy: SettlementPolicy


class AdjustTask(Model):
    """Input of the activity `adjust`."""

    adjust: AdjustBody
    trace: str
    company_id: int | None
    expires_at: datetime


class CancelTask(Model):
    """Input of the activity `cancel_adjust`; equal for every attempt of one cancel, whoever retries it."""

    adjust: AdjustBody
    trace: str
    company_id: int | None
    kind: CancelKind
    request_unique_no: str
    request_time_ms: int
    """Fixed at the first attempt: a repeated request is the same request, byte for byte."""
    remark: str
    round: int


class CancelReport(Model):
    """Result of the activity `cancel_adjust`: how the cancel ended, and every attempt that led there."""

    result: CancelResult
    calls: tuple[CallRecord, ...]


class ActKind(StrEnum):
    """What was done to a settlement beside its own course."""

    RETRY_CANCEL_ADJUST = "RETRY_CANCEL_ADJUST"
    RESOLVE = "RESOLVE"
    WORKFLOW_CANCELLATION = "WORKFLOW_CANCELLATION"
    """Temporal's request to stop; answered by a compensation, never by stopping."""
    TAKE_UP = "TAKE_UP"
    """Reconciliation began its workflow anew: the one before was ended from outside, or lost."""


class OperatorRequest(Model):
    """Argument of the Updates `retry_cancel_adjust` and `resolve`: who asks, why, on what evidence.

    Only the shape: `contract.operator_rules` has the rules, which stand at the doors. Histories of 0.1 say
    `reason` and `evidence` for what is `note` and `brokerReference` now.
    """

    operator: str = ""
    reason_code: str | None = None
    """A word of `contract.operator_rules`; None in histories of 0.1."""
    note: str = Field(default="", validation_alias=AliasChoices("note", "reason"))
    """Why, in the operator's own words."""
    broker_reference: str | None = Field(
        default=None, validation_alias=AliasChoices("brokerReference", "broker_reference", "evidence")
    )
    """What the act rests on: a broker's ticket, a statement line."""
    batch_id: str | None = None
    """The batch that asks; None: a person, for this settlement alone."""


class OperatorAct(OperatorRequest):
    """Who did what to a settlement, when and why. The audit keeps every one."""

    kind: ActKind
    at: datetime


class StateChange(Model):
    """A settlement entered a state."""

    state: State
    at: datetime
    reason: str


class CancelAct(Model):
    """What the body of a cancel was made from: whoever sends it again, ever, sends the same request byte for byte."""

    kind: CancelKind
    request_time_ms: int
    remark: str

    @property
    def due_at(self) -> datetime:
        """Return when it is sent first: at once, or for a confirming cancel after the quarantine."""
        return datetime.fromtimestamp(self.request_time_ms / 1000, UTC)


class AuditCounts(Model):
    """How many entries of each part of an audit are meant, counted from the oldest."""

    calls: int = 0
    acts: int = 0
    state_changes: int = 0


class CancelLeftOut(Model):
    """What is still needed of the attempts of one cancel that are left out."""

    kind: CancelKind
    attempts: int
    result: CancelResult | None = None


class LeftOut(AuditCounts):
    """The oldest entries that a snapshot of a long audit does not carry, and what is still needed of them.

    Entries are left out once the ledger has them (`contract.audit_window`): the audit of a settlement has no limit,
    a payload of Temporal has.
    """

    adjust: Verdict | None = None
    """Outcome and rule of the adjust, if its record is left out."""
    cancels: tuple[CancelLeftOut, ...] = ()
    """At most one of a kind."""

    def cancel(self, kind: CancelKind) -> CancelLeftOut:
        """Return what is left out of one cancel."""
        return next((each for each in self.cancels if each.kind is kind), CancelLeftOut(kind=kind, attempts=0))


class Snapshot(Model):
    """All that a settlement knows at one moment, but for `left_out`. The ledger keeps the highest version."""

    version: int
    """Counts the changes; a writer never replaces a higher version by a lower one."""
    state: State
    decision: Decision | None = None
    cancel_result: CancelResult | None = None
    reason: str = ""
    """Why it stands where it stands, in plain words, without personal data."""
    decided_at: datetime | None = None
    updated_at: datetime
    calls: tuple[CallRecord, ...] = ()
    acts: tuple[OperatorAct, ...] = ()
    state_changes: tuple[StateChange, ...] = ()
    """Every state entered, in order; being accepted, into ADJUSTING, is not among them."""
    cancel_acts: tuple[CancelAct, ...] = ()
    """Every cancel begun, in order; at most one of a kind."""
    left_out: LeftOut = LeftOut()

    @property
    def is_complete(self) -> bool:
        """Whether no entry of the audit is left out."""
        left_out = self.left_out
        return not (left_out.calls or left_out.acts or left_out.state_changes)

    @property
    def adjust(self) -> Verdict | None:
        """The verdict on the adjust (outcome and rule are certain to be there); None: nothing is known of it yet."""
        if self.left_out.calls:
            return self.left_out.adjust
        return self.calls[0].verdict if self.calls else None

    def cancel_attempts(self, kind: CancelKind) -> int:
        """Count the attempts of a cancel in the whole audit."""
        return self.left_out.cancel(kind).attempts + sum(call.kind is kind for call in self.calls)

    def cancel_result_of(self, kind: CancelKind) -> CancelResult | None:
        """Return how a cancel was correctly answered; None: not yet."""
        known = (call.cancel_result for call in self.calls if call.kind is kind and call.cancel_result)
        return next(known, self.left_out.cancel(kind).result)


def accepted_snapshot(settlement: SettlementInput) -> Snapshot:
    """Return what is known of a settlement when it is accepted and nothing has happened yet."""
    return Snapshot(version=0, state=State.ADJUSTING, reason="accepted", updated_at=settlement.accepted_at)


class TakeUp(Model):
    """What a settlement's workflow goes on from when its predecessor was lost."""

    snapshot: Snapshot
    reason: str
    """How the workflow before was lost; without personal data."""
    lost_at: datetime | None = None
    """When it was ended, by Temporal's clock; None: nobody knows, so it may have gone on until now."""


class Carried(Model):
    """What one run of a settlement's workflow hands to the next when its history has become long."""

    snapshot: Snapshot
    round: int
    """Number of the last round of cancel attempts."""
    recorded_version: int
    """Version of the snapshot that the ledger has taken."""
    recorded: AuditCounts
    """Entries of the audit that the ledger has taken."""


class SettlementStart(SettlementInput):
    """Argument of the workflow `OrderSettlement`: the order, and what an earlier run knew of it.

    One argument, for ever: the SDK reads types only where their number fits what a history holds.
    """

    taken_up: TakeUp | None = None
    carried: Carried | None = None


def known_at_start(start: SettlementStart) -> Snapshot:
    """Return what is known of a settlement when a run of its workflow begins."""
    before = start.carried or start.taken_up
    return before.snapshot if before else accepted_snapshot(start)


def accepted_input(start: SettlementStart) -> SettlementInput:
    """Return the accepted order alone, without what an earlier run knew of it."""
    return SettlementInput(**{name: getattr(start, name) for name in SettlementInput.model_fields})


class UpdateResult(Model):
    """Result of an operator's Update. The whole settlement is read from the ledger, or by the Query `snapshot`."""

    state: State
    version: int
    """Of the snapshot that contains the act."""


class RecordTask(Model):
    """Input of the activity `record_settlement`: what is new since the last write that the ledger has taken."""

    request_unique_no: str
    since_version: int
    """Version that the ledger has by the workflow's knowledge; 0: none is known."""
    snapshot: Snapshot
    """Of the audit only the entries that the ledger does not have yet."""
    settlement: SettlementInput | None = None
    """Given with `since_version` 0: a row that the ledger has lost is written anew."""


class RecordResult(StrEnum):
    """Result of the activity `record_settlement`."""

    RECORDED = "RECORDED"
    """The ledger has taken this snapshot."""
    NOT_NEWER = "NOT_NEWER"
    """The ledger has this version, or a newer one, by another write; this one was not needed."""
    LEDGER_BEHIND = "LEDGER_BEHIND"
    """The ledger has less than `since_version` says (a backup was restored): write again, from 0."""
    DECISION_CONFLICT = "DECISION_CONFLICT"
    """The ledger has the opposite decision. Nothing was written; a finding asks an operator to look."""
