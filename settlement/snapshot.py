"""What is known of a settlement at one moment: its snapshot, with every call, operator action and state change.

These types live on in workflow histories. CONTRIBUTING.md says how they may change.
"""

from datetime import UTC, datetime
from enum import StrEnum

from contract.model import Model
from settlement.calls import CallRecord, Verdict
from settlement.ids import CancelKind
from settlement.states import CancelResult, Decision, State


class ActionKind(StrEnum):
    """What was done to a settlement beside its own course."""

    RETRY_CANCEL_ADJUST = "RETRY_CANCEL_ADJUST"
    RESOLVE = "RESOLVE"
    WORKFLOW_CANCELLATION = "WORKFLOW_CANCELLATION"
    """Temporal's request to stop; answered by a compensation, never by stopping."""
    TAKE_UP = "TAKE_UP"
    """Reconciliation began its workflow anew: the one before was ended from outside, or lost."""


class OperatorRequest(Model):
    """Argument of the Updates `retry_cancel_adjust` and `resolve`: who asks, why, on what evidence.

    Only the shape: the validators of the Updates check the rules (`settlement.operator_rules`). Every field has a
    default, so that a request without it can be read and refused by name.
    """

    operator: str = ""
    reason_code: str | None = None
    """A word of `settlement.operator_rules`. None: not given, or the act is not an operator's."""
    note: str = ""
    """Why, in the operator's own words."""
    broker_reference: str | None = None
    """What the act rests on: a broker's ticket, a statement line."""
    batch_id: str | None = None
    """The batch that asks; None: a person, for this settlement alone."""


class OperatorAction(OperatorRequest):
    """Who did what to a settlement, when and why. The audit keeps every one."""

    kind: ActionKind
    at: datetime


class StateChange(Model):
    """A settlement entered a state."""

    state: State
    at: datetime
    reason: str


class CancelIntent(Model):
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
    actions: int = 0
    state_changes: int = 0


class CancelLeftOut(Model):
    """What is still needed of the attempts of one cancel that are left out."""

    kind: CancelKind
    attempts: int
    result: CancelResult | None = None


class LeftOut(AuditCounts):
    """The oldest entries that a snapshot of a long audit does not carry, and what is still needed of them.

    Entries are left out once the ledger has them (`settlement.audit_window`): the audit of a settlement has no limit,
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
    actions: tuple[OperatorAction, ...] = ()
    state_changes: tuple[StateChange, ...] = ()
    """Every state entered, in order; being accepted, into ADJUSTING, is not among them."""
    cancel_intents: tuple[CancelIntent, ...] = ()
    """Every cancel begun, in order; at most one of a kind."""
    left_out: LeftOut = LeftOut()

    @property
    def is_complete(self) -> bool:
        """Whether no entry of the audit is left out."""
        left_out = self.left_out
        return not (left_out.calls or left_out.actions or left_out.state_changes)

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


class SettlementEvent(Model):
    """One state entered, as the event stream tells it. Its id counts from 0 (accepted, into ADJUSTING)."""

    request_unique_no: str
    state: State
    decision: Decision | None
    at: datetime
    reason: str
