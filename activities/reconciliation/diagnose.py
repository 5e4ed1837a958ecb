"""Diagnoses a mismatch between a settlement's ledger row and its workflow, and selects a repair. Pure functions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ledger import SettlementSummary
from settlement import limits
from settlement.reconciliation import FindingKind, conflict_detail
from settlement.states import END_STATES, State, decision_of


class Repair(StrEnum):
    """A repair that reconciliation can do automatically."""

    TAKE_UP = "TAKE_UP"
    """Start a new workflow that begins with the compensation."""
    RECORD = "RECORD"
    """Write the workflow's snapshot to the ledger."""
    WRITE_ROW = "WRITE_ROW"
    """Insert the missing ledger row, from the workflow's input and its snapshot."""
    NONE = "NONE"
    """No repair is certainly correct: an operator must act."""


@dataclass(frozen=True)
class Execution:
    """The newest workflow execution of a settlement, as described by the Temporal server. It needs no worker."""

    run_id: str
    status: str
    """Temporal's workflow status, such as TERMINATED."""
    closed_at: datetime | None
    """When it closed, normally or from outside; None while it is open."""
    state: State | None
    """The state that its search attribute and its status show; None if unknown."""
    task_attempt: int
    """Attempts of the pending workflow task; 0 if there is none."""

    @property
    def is_open(self) -> bool:
        """Whether it is open."""
        return self.closed_at is None

    @property
    def completed(self) -> bool:
        """Whether it completed normally."""
        return self.status == "COMPLETED"


@dataclass(frozen=True)
class Diagnosis:
    """A mismatch with a description, and its repair."""

    kind: FindingKind
    detail: str
    repair: Repair


def diagnose(
    row: SettlementSummary | None, execution: Execution | None, now: datetime, unusable: str | None = None
) -> Diagnosis | None:
    """Compare a settlement's row with its workflow. Return None if they agree, or if it is too early to judge.

    `unusable` says why its external system cannot be called; None if it can.
    """
    if row is None:
        return _without_row(execution)
    if (conflict := _conflict(row, execution)) is not None:
        return conflict
    if row.state in END_STATES:
        return _with_ended_row(row, execution, now)
    if now - row.updated_at < timedelta(seconds=limits.RECONCILE_UNCHANGED_S):
        return None
    if execution is None:
        return _without_workflow(row, now)
    mismatch = _with_open_workflow(row, execution, now) or _without_system(row, unusable)
    return mismatch if execution.is_open else _with_closed_workflow(execution)


def may_be_ahead(row: SettlementSummary, now: datetime) -> bool:
    """Return whether a row has been in an end state long enough for its workflow to have closed."""
    return row.state in END_STATES and now - row.updated_at >= timedelta(seconds=limits.RECONCILE_LEDGER_DELAY_MAX_S)


def _without_row(execution: Execution | None) -> Diagnosis | None:
    if execution is None:
        return None
    detail = f"Temporal has a workflow for it ({execution.status}), but the ledger has no such settlement"
    return Diagnosis(FindingKind.LEDGER_MISSING, detail, Repair.WRITE_ROW)


def _conflict(row: SettlementSummary, execution: Execution | None) -> Diagnosis | None:
    if execution is None or execution.state is None:
        return None
    in_ledger, in_workflow = decision_of(row.state), decision_of(execution.state)
    if in_workflow is None or in_ledger is None or in_workflow is in_ledger:
        return None
    detail = conflict_detail(row.state, execution.state)
    return Diagnosis(FindingKind.DECISION_CONFLICT, detail, Repair.NONE)


def _with_ended_row(row: SettlementSummary, execution: Execution | None, now: datetime) -> Diagnosis | None:
    if execution is None or not execution.is_open or not may_be_ahead(row, now):
        return None
    detail = (
        f"it ended in the ledger ({row.state}) at {row.updated_at.isoformat()}, but its workflow is still open "
        f"with state {execution.state}. Reconciliation never closes a workflow: find out what the workflow waits for"
    )
    return Diagnosis(FindingKind.LEDGER_AHEAD, detail, Repair.NONE)


def _without_workflow(row: SettlementSummary, now: datetime) -> Diagnosis | None:
    # Before that time its POST may still start the workflow, and must not compete with a take-up.
    if now < row.expires_at + timedelta(seconds=limits.RECONCILE_START_SLACK_S):
        return None
    detail = f"its state in the ledger is {row.state}, but Temporal has no workflow for it"
    return Diagnosis(FindingKind.WORKFLOW_MISSING, detail, Repair.TAKE_UP)


def _with_closed_workflow(execution: Execution) -> Diagnosis:
    if execution.completed:
        detail = "its workflow completed, but the ledger did not receive the end"
        return Diagnosis(FindingKind.LEDGER_BEHIND, detail, Repair.RECORD)
    detail = f"its workflow was ended from outside ({execution.status})"
    return Diagnosis(FindingKind.WORKFLOW_ENDED_FROM_OUTSIDE, detail, Repair.TAKE_UP)


def _without_system(row: SettlementSummary, unusable: str | None) -> Diagnosis | None:
    if unusable is None:
        return None
    system = row.settlement_id.system
    detail = f"its external system {system} cannot be called: {unusable}. A cancel waits and uses up no attempt"
    return Diagnosis(FindingKind.SYSTEM_NOT_CONFIGURED, detail, Repair.NONE)


def _with_open_workflow(row: SettlementSummary, execution: Execution, now: datetime) -> Diagnosis | None:
    if execution.task_attempt >= limits.RECONCILE_STUCK_ATTEMPTS:
        detail = (
            f"its workflow task has failed {execution.task_attempt - 1} times: the worker's code does not match its "
            "history, or has a bug"
        )
        return Diagnosis(FindingKind.WORKFLOW_STUCK, detail, Repair.NONE)
    is_overdue = now - row.updated_at >= timedelta(seconds=limits.RECONCILE_LEDGER_DELAY_MAX_S)
    if not is_overdue or execution.state is None or execution.state is row.state:
        return None
    if decision_of(row.state) is not None and decision_of(execution.state) is None:
        return None  # a workflow task was lost after it had written the decision; its repeat will decide the same
    detail = f"its state in the ledger is {row.state}, but in its workflow {execution.state}"
    return Diagnosis(FindingKind.LEDGER_BEHIND, detail, Repair.RECORD)
