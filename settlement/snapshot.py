"""The snapshot of a settlement: its state and audit (external calls, operator actions, state changes) at one moment.

Workflow histories contain these types. CONTRIBUTING.md says how they may change.
"""

from datetime import UTC, datetime
from enum import StrEnum

from pydantic import Field

from contract.model import Model
from settlement.calls import CallRecord, Verdict
from settlement.ids import CancelKind
from settlement.states import CancelResult, Decision, State


class ActionKind(StrEnum):
    """An intervention in a settlement from outside its workflow."""

    RETRY_CANCEL_ADJUST = "RETRY_CANCEL_ADJUST"
    RESOLVE = "RESOLVE"
    PROPOSE_RESOLUTION = "PROPOSE_RESOLUTION"
    """An operator proposed how to close the settlement. A second operator must approve it (ADR 0021)."""
    APPROVE_RESOLUTION = "APPROVE_RESOLUTION"
    """An operator of another client approved the proposal; the settlement is RESOLVED."""
    WITHDRAW_PROPOSAL = "WITHDRAW_PROPOSAL"
    """The proposal was withdrawn by its operator, or rejected by another one."""
    WORKFLOW_CANCELLATION = "WORKFLOW_CANCELLATION"
    """Temporal's request to stop. The settlement answers it with a compensation and does not stop."""
    TAKE_UP = "TAKE_UP"
    """Reconciliation started a new workflow, because the previous one was lost or ended from outside."""


BEGINS_A_ROUND = frozenset({ActionKind.RETRY_CANCEL_ADJUST, ActionKind.WORKFLOW_CANCELLATION, ActionKind.TAKE_UP})
"""Actions after which a new round of cancels begins."""


class OperatorAct(Model):
    """Who acts, why, on what evidence.

    Only the shape: the validators of the Updates check the rules (`settlement.operator_rules`). Every field has a
    default, so that a request without it can be read and refused by name.
    """

    operator: str = ""
    """The client of the API key. Without a valid signature of the API: `temporal-ui, unverified (says NAME)`."""
    reason_code: str | None = None
    """A reason code of `settlement.operator_rules`; None if not given, or if no operator acted."""
    note: str = ""
    """Why, in the operator's own words."""
    broker_reference: str | None = None
    """The evidence, such as a broker's ticket or a statement line."""
    batch_id: str | None = None
    """The batch that requests it; None for a request on this settlement alone."""
    key_id: str | None = None
    """The API key of the request; None if it was made without one, as in the Temporal UI."""
    proposal_no: int | None = None
    """The proposal that is approved or withdrawn; else None."""


class UpdateSignature(Model):
    """Signature of the API over one Update (`settlement.update_signature`)."""

    earlier_actions: int
    """Number of actions on the settlement before this one. So a copy of the Update is refused later."""
    value: str
    """HMAC-SHA256 in hexadecimal."""


class OperatorRequest(OperatorAct):
    """Argument of the operator's Updates."""

    signature: UpdateSignature | None = None
    """None if the Update was not sent by the API, as in the Temporal UI."""

    def as_recorded(self) -> OperatorAct:
        """Return the act for the audit. The presence of a signature decides, because the validator has checked it."""
        values = self.model_dump(exclude={"signature"}, by_alias=False)
        if self.signature is None:
            values |= {"operator": f"temporal-ui, unverified (says {self.operator})", "key_id": None, "batch_id": None}
        return OperatorAct(**values)


class OperatorAction(OperatorAct):
    """One operator action in the audit: who did what, when and why."""

    kind: ActionKind
    at: datetime


class ResolutionProposal(Model):
    """A resolution that one operator proposed. An operator of another client approves it."""

    proposal_no: int
    """Number of the proposal: the position of its action in the whole audit, from 0. No two proposals have the same."""
    operator: str
    key_id: str | None = None
    reason_code: str
    note: str
    broker_reference: str
    at: datetime


class StateChange(Model):
    """A settlement entered a state."""

    state: State
    at: datetime
    reason: str


class CancelIntent(Model):
    """The values that fix a cancel's body. Every later attempt sends the same request byte for byte."""

    kind: CancelKind
    request_time_ms: int
    remark: str

    @property
    def due_at(self) -> datetime:
        """The time at which it may first be sent. For a confirming cancel, this is the end of the quarantine."""
        return datetime.fromtimestamp(self.request_time_ms / 1000, UTC)


class AuditCounts(Model):
    """A position in an audit: the number of entries of each part, counted from the oldest."""

    calls: int = 0
    actions: int = 0
    state_changes: int = 0


class CancelLeftOut(Model):
    """Summary of the attempts of one cancel that are left out."""

    kind: CancelKind
    attempts: int
    result: CancelResult | None = None


class LeftOut(AuditCounts):
    """Number and summary of the oldest audit entries that a snapshot does not contain.

    Entries are left out only after the ledger has recorded them (`settlement.audit_window`). An audit can grow without
    limit, but the size of a Temporal payload is limited.
    """

    adjust: Verdict | None = None
    """Outcome and rule of the adjust, if its record is left out."""
    cancels: tuple[CancelLeftOut, ...] = ()
    """At most one entry of each kind."""
    actions_without_round: int = 0
    """How many of the actions began no round of cancels."""

    def cancel(self, kind: CancelKind) -> CancelLeftOut:
        """Return the summary of one cancel's attempts that are left out."""
        return next((each for each in self.cancels if each.kind is kind), CancelLeftOut(kind=kind, attempts=0))


NOTHING_LEFT_OUT = LeftOut()


def _is_empty(part: object) -> bool:
    """Return whether a part of a snapshot says nothing. Most snapshots are small, and each is part of a history."""
    return not part or part == NOTHING_LEFT_OUT


class Snapshot(Model):
    """State and audit of a settlement at one moment. The ledger keeps the highest version.

    A long audit lacks its oldest entries; `left_out` counts them.
    """

    version: int
    """Grows with every change. A higher version is never replaced by a lower one."""
    state: State
    decision: Decision | None = None
    cancel_result: CancelResult | None = None
    reason: str = ""
    """Why the settlement is in this state, as text without personal data."""
    decided_at: datetime | None = None
    updated_at: datetime
    calls: tuple[CallRecord, ...] = ()
    actions: tuple[OperatorAction, ...] = Field(default=(), exclude_if=_is_empty)
    state_changes: tuple[StateChange, ...] = ()
    """Every state entered, in order, except the first one (ADJUSTING, on acceptance)."""
    cancel_intents: tuple[CancelIntent, ...] = Field(default=(), exclude_if=_is_empty)
    """Every cancel, in the order in which they were created; at most one of each kind."""
    proposal: ResolutionProposal | None = None
    """The resolution that waits for a second operator, or that was approved. A retry of cancel adjust clears it."""
    left_out: LeftOut = Field(default=NOTHING_LEFT_OUT, exclude_if=_is_empty)

    @property
    def action_count(self) -> int:
        """The number of actions in the whole audit."""
        return self.left_out.actions + len(self.actions)

    @property
    def is_complete(self) -> bool:
        """Whether the snapshot contains the whole audit."""
        left_out = self.left_out
        return not (left_out.calls or left_out.actions or left_out.state_changes)

    @property
    def adjust(self) -> Verdict | None:
        """The verdict on the adjust, at least with outcome and rule; None if there is none yet."""
        if self.left_out.calls:
            return self.left_out.adjust
        return self.calls[0].verdict if self.calls else None

    def cancel_attempts(self, kind: CancelKind) -> int:
        """Return the number of attempts of a cancel in the whole audit."""
        return self.left_out.cancel(kind).attempts + sum(call.kind is kind for call in self.calls)

    def cancel_result_of(self, kind: CancelKind) -> CancelResult | None:
        """Return the newest result of a cancel; None if it has no correct reply yet."""
        known = (call.cancel_result for call in reversed(self.calls) if call.kind is kind and call.cancel_result)
        return next(known, self.left_out.cancel(kind).result)


class SettlementEvent(Model):
    """One state change in the event stream. Event ids count from 0, the acceptance (ADJUSTING)."""

    system: str
    request_unique_no: str
    state: State
    decision: Decision | None
    at: datetime
    reason: str
