"""What does not fit between a settlement's row and its workflow, and what would put it right: pure functions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ledger import SettlementSummary
from settlement import limits
from settlement.reconciliation import FindingKind, conflict_detail
from settlement.states import END_STATES, State, decision_of


class Repair(StrEnum):
    """What reconciliation can do by itself."""

    TAKE_UP = "TAKE_UP"
    """Begin the workflow anew, at its compensation."""
    RECORD = "RECORD"
    """Write what the workflow knows into the ledger."""
    WRITE_ROW = "WRITE_ROW"
    """Write a row that the ledger lacks, from what the workflow was started with and knows."""
    NONE = "NONE"
    """Nothing that would certainly be right: a person must look."""


@dataclass(frozen=True)
class Execution:
    """A settlement's newest workflow, as Temporal tells it without any worker."""

    run_id: str
    status: str
    """Temporal's word for it, such as TERMINATED."""
    closed_at: datetime | None
    """When it was closed, by itself or from outside; None: it is open."""
    state: State | None
    """Its own search attribute; None where it has none that is known."""
    task_attempt: int
    """Attempts so far of the workflow task that is due; 0: none is."""

    @property
    def is_open(self) -> bool:
        """Whether it still runs."""
        return self.closed_at is None

    @property
    def came_to_its_end(self) -> bool:
        """Whether it closed by itself, with a result."""
        return self.status == "COMPLETED"


@dataclass(frozen=True)
class Diagnosis:
    """One thing that does not fit, in plain words, and its cure."""

    kind: FindingKind
    detail: str
    cure: Repair


def diagnose(known: SettlementSummary | None, execution: Execution | None, now: datetime) -> Diagnosis | None:
    """Compare a settlement's row with its workflow; None: they agree, or it is too early to tell."""
    if known is None:
        return _without_row(execution)
    if (conflict := _conflict(known, execution)) is not None:
        return conflict
    if known.state in END_STATES:
        return _after_the_end(known, execution, now)
    if now - known.updated_at < timedelta(seconds=limits.RECONCILE_UNTOUCHED_S):
        return None
    if execution is None:
        return _without_workflow(known, now)
    return _with_open_workflow(known, execution, now) if execution.is_open else _with_closed_workflow(execution)


def may_be_ahead(known: SettlementSummary, now: datetime) -> bool:
    """Tell whether a row that has ended is old enough for its workflow to have closed."""
    return known.state in END_STATES and now - known.updated_at >= timedelta(seconds=limits.RECONCILE_BEHIND_S)


def _without_row(execution: Execution | None) -> Diagnosis | None:
    if execution is None:
        return None
    detail = f"Temporal has a workflow of it ({execution.status}), the ledger has no such settlement"
    return Diagnosis(FindingKind.LEDGER_MISSING, detail, Repair.WRITE_ROW)


def _conflict(known: SettlementSummary, execution: Execution | None) -> Diagnosis | None:
    if execution is None or execution.state is None:
        return None
    own, ledgers = decision_of(execution.state), decision_of(known.state)
    if own is None or ledgers is None or own is ledgers:
        return None
    detail = conflict_detail(known.state, execution.state)
    return Diagnosis(FindingKind.DECISION_CONFLICT, detail, Repair.NONE)


def _after_the_end(known: SettlementSummary, execution: Execution | None, now: datetime) -> Diagnosis | None:
    if execution is None or not execution.is_open or not may_be_ahead(known, now):
        return None
    detail = (
        f"the ledger has its end, {known.state}, since {known.updated_at.isoformat()}; its workflow is still open "
        f"and says {execution.state}. It is never closed by force: see what it still does"
    )
    return Diagnosis(FindingKind.LEDGER_AHEAD, detail, Repair.NONE)


def _without_workflow(known: SettlementSummary, now: datetime) -> Diagnosis | None:
    # A younger one may still be started by its POST, and must not lose that race.
    if now < known.expires_at + timedelta(seconds=limits.RECONCILE_START_SLACK_S):
        return None
    detail = f"the ledger has it {known.state}; Temporal knows no workflow of it"
    return Diagnosis(FindingKind.WORKFLOW_MISSING, detail, Repair.TAKE_UP)


def _with_closed_workflow(execution: Execution) -> Diagnosis:
    if execution.came_to_its_end:
        detail = "its workflow came to its end, of which the ledger has not heard"
        return Diagnosis(FindingKind.LEDGER_BEHIND, detail, Repair.RECORD)
    detail = f"its workflow was ended from outside ({execution.status})"
    return Diagnosis(FindingKind.WORKFLOW_ENDED_FROM_OUTSIDE, detail, Repair.TAKE_UP)


def _with_open_workflow(known: SettlementSummary, execution: Execution, now: datetime) -> Diagnosis | None:
    if execution.task_attempt >= limits.RECONCILE_STUCK_ATTEMPTS:
        detail = (
            f"its workflow task has failed {execution.task_attempt - 1} times: the worker's code does not fit its "
            "history, or has a fault"
        )
        return Diagnosis(FindingKind.WORKFLOW_STUCK, detail, Repair.NONE)
    late = now - known.updated_at >= timedelta(seconds=limits.RECONCILE_BEHIND_S)
    if late and execution.state is not None and execution.state is not known.state:
        detail = f"the ledger has it {known.state}, its workflow says {execution.state}"
        return Diagnosis(FindingKind.LEDGER_BEHIND, detail, Repair.RECORD)
    return None
