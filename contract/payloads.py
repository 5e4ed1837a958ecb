"""What crosses the boundary between API, workflow and activities; it lives on in workflow histories.

Shapes only, no rules (ADR 0003). A field may be added with a default. One that is renamed, removed or given
another meaning breaks the replay of open settlements: that needs `workflow.patched` and a line in CHANGELOG.md.
"""

from datetime import datetime
from enum import StrEnum

from contract.adjust import AdjustBody
from contract.calls import CallRecord
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
    """One accepted order: the start of its workflow."""

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
    """What was asked of an aborted settlement."""

    RETRY_CANCEL_ADJUST = "RETRY_CANCEL_ADJUST"
    RESOLVE = "RESOLVE"
    WORKFLOW_CANCELLATION = "WORKFLOW_CANCELLATION"
    """Temporal's request to stop; answered by a compensation, never by stopping."""


class OperatorAct(Model):
    """Who did what to a settlement, when and why. The audit keeps every one."""

    kind: ActKind
    operator: str
    reason: str
    evidence: str | None = None
    """What the decision rests on: a broker's ticket, a statement line."""
    at: datetime


class OperatorRequest(Model):
    """Argument of the Updates `retry_cancel_adjust` and `resolve`: who asks, why, on what evidence.

    Only the shape: `contract.operator_rules` has the rules, which stand at the doors.
    """

    operator: str
    reason: str
    evidence: str | None = None


class Snapshot(Model):
    """The whole of what a settlement knows at one moment. The ledger keeps the highest version."""

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


class RecordTask(Model):
    """Input of the activity `record_settlement`. It carries the start too: a lost row is written anew."""

    settlement: SettlementInput
    snapshot: Snapshot
