"""Diagnosis of every pair of ledger row and workflow, and how long each difference may last."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.reconciliation.diagnose import Execution, Repair, diagnose
from ledger import SettlementSummary
from settlement import limits
from settlement.reconciliation import FindingKind
from settlement.states import END_STATES, State, decision_of
from tests.support.orders import QUICK_POLICY, settlement

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
LONG_AGO = timedelta(hours=1)
OPEN_STATES = sorted(set(State) - END_STATES)
FROM_OUTSIDE = ["TERMINATED", "TIMED_OUT", "FAILED", "CANCELED", "UNKNOWN"]

AGREES = {state: State.SETTLED if state is State.SETTLED else State.CANCELLING for state in END_STATES}
"""For each end a state whose decision is the same."""

What = tuple[FindingKind, Repair] | None


def row(state: State, *, age: timedelta = LONG_AGO, untouched: timedelta | None = None) -> SettlementSummary:
    """Return a row that was accepted and last written this long ago."""
    order = settlement(accepted_at=NOW - age)
    return SettlementSummary(
        settlement_id=order.settlement_id,
        state=state,
        version=1,
        accepted_at=NOW - age,
        updated_at=NOW - (age if untouched is None else untouched),
        input=order.model_dump(mode="json"),
    )


def running(state: State | None, task_attempt: int = 1) -> Execution:
    return Execution(run_id="r", status="RUNNING", closed_at=None, state=state, task_attempt=task_attempt)


def closed(status: str, state: State | None = State.CANCELLING) -> Execution:
    return Execution(run_id="r", status=status, closed_at=NOW, state=state, task_attempt=0)


def kind_and_repair(known: SettlementSummary | None, execution: Execution | None) -> What:
    """Return kind and repair of the mismatch; None if there is none."""
    found = diagnose(known, execution, NOW)
    return (found.kind, found.repair) if found else None


def test_neither_row_nor_workflow_is_no_mismatch() -> None:
    assert kind_and_repair(None, None) is None


@pytest.mark.parametrize("state", OPEN_STATES)
def test_an_open_settlement_with_a_workflow_in_the_same_state_is_no_mismatch(state: State) -> None:
    assert kind_and_repair(row(state), running(state)) is None


@pytest.mark.parametrize("state", OPEN_STATES)
@pytest.mark.parametrize("status", FROM_OUTSIDE)
def test_an_open_settlement_whose_workflow_did_not_complete_is_taken_up(state: State, status: str) -> None:
    """Regardless of its age: its POST can no longer start another workflow."""
    expected = (FindingKind.WORKFLOW_ENDED_FROM_OUTSIDE, Repair.TAKE_UP)
    assert kind_and_repair(row(state), closed(status)) == expected
    young = timedelta(seconds=limits.RECONCILE_UNCHANGED_S)
    assert kind_and_repair(row(state, age=young), closed(status)) == expected


@pytest.mark.parametrize("state", OPEN_STATES)
def test_the_end_of_a_completed_workflow_is_recorded(state: State) -> None:
    assert kind_and_repair(row(state), closed("COMPLETED")) == (FindingKind.LEDGER_BEHIND, Repair.RECORD)


@pytest.mark.parametrize("state", OPEN_STATES)
def test_an_open_settlement_without_a_workflow_is_taken_up_after_its_post_can_no_longer_start_it(state: State) -> None:
    expired = timedelta(seconds=QUICK_POLICY.expire_after_s + limits.RECONCILE_START_SLACK_S)
    just_not = expired - timedelta(microseconds=1)
    assert kind_and_repair(row(state, age=expired), None) == (FindingKind.WORKFLOW_MISSING, Repair.TAKE_UP)
    assert kind_and_repair(row(state, age=just_not), None) is None


@pytest.mark.parametrize("state", OPEN_STATES)
@pytest.mark.parametrize("execution", [None, closed("TERMINATED"), closed("COMPLETED"), running(None, 99)])
def test_a_recently_written_settlement_is_not_examined(state: State, execution: Execution | None) -> None:
    just_now = timedelta(seconds=limits.RECONCILE_UNCHANGED_S) - timedelta(microseconds=1)
    assert kind_and_repair(row(state, untouched=just_now), execution) is None


def test_a_workflow_task_that_keeps_failing_needs_an_operator() -> None:
    most = limits.RECONCILE_STUCK_ATTEMPTS
    assert kind_and_repair(row(State.CANCELLING), running(State.CANCELLING, most)) == (
        FindingKind.WORKFLOW_STUCK,
        Repair.NONE,
    )
    assert kind_and_repair(row(State.CANCELLING), running(State.CANCELLING, most - 1)) is None
    found = diagnose(row(State.CANCELLING), running(State.CANCELLING, most), NOW)
    assert found is not None
    assert f"failed {most - 1} times" in found.detail


def test_a_newer_state_is_recorded_after_its_write_is_overdue() -> None:
    late = timedelta(seconds=limits.RECONCILE_LEDGER_DELAY_MAX_S)
    expected = (FindingKind.LEDGER_BEHIND, Repair.RECORD)
    assert kind_and_repair(row(State.CANCELLING, untouched=late), running(State.ABORTED)) == expected
    in_time = late - timedelta(microseconds=1)
    assert kind_and_repair(row(State.CANCELLING, untouched=in_time), running(State.ABORTED)) is None
    assert kind_and_repair(row(State.CANCELLING, untouched=late), running(None)) is None, (
        "of an unknown state nothing follows"
    )


def test_the_delay_limit_exceeds_the_longest_regular_write() -> None:
    """That is the longest interval between two attempts, plus one attempt."""
    assert 30 + limits.RECORD_START_TO_CLOSE.total_seconds() < limits.RECONCILE_LEDGER_DELAY_MAX_S


@pytest.mark.parametrize("state", sorted(END_STATES))
def test_an_ended_row_with_an_open_workflow_needs_an_operator_after_a_delay(state: State) -> None:
    late = timedelta(seconds=limits.RECONCILE_LEDGER_DELAY_MAX_S)
    assert kind_and_repair(row(state, untouched=late), running(AGREES[state])) == (
        FindingKind.LEDGER_AHEAD,
        Repair.NONE,
    )
    assert kind_and_repair(row(state, untouched=late - timedelta(microseconds=1)), running(state)) is None


@pytest.mark.parametrize("state", sorted(END_STATES))
@pytest.mark.parametrize("status", [None, "COMPLETED", "TERMINATED"])
def test_an_ended_row_without_a_workflow_is_no_mismatch(state: State, status: str | None) -> None:
    execution = closed(status, AGREES[state]) if status else None
    assert kind_and_repair(row(state), execution) is None


@pytest.mark.parametrize("ledgers", sorted(set(State) - {State.ADJUSTING}))
@pytest.mark.parametrize("own", sorted(set(State) - {State.ADJUSTING}))
@pytest.mark.parametrize("is_open", [True, False])
def test_opposite_decisions_need_an_operator_in_any_state(ledgers: State, own: State, *, is_open: bool) -> None:
    execution = running(own) if is_open else closed("COMPLETED", own)
    conflict = kind_and_repair(row(ledgers), execution) == (FindingKind.DECISION_CONFLICT, Repair.NONE)
    assert conflict is (decision_of(ledgers) is not decision_of(own))


def test_a_workflow_without_a_decision_is_no_conflict() -> None:
    late = timedelta(seconds=limits.RECONCILE_LEDGER_DELAY_MAX_S)
    in_time = late - timedelta(microseconds=1)
    assert kind_and_repair(row(State.SETTLED, untouched=in_time), running(State.ADJUSTING)) is None
    assert kind_and_repair(row(State.SETTLED, untouched=late), running(State.ADJUSTING)) == (
        FindingKind.LEDGER_AHEAD,
        Repair.NONE,
    )


@pytest.mark.parametrize("execution", [running(State.ADJUSTING), closed("TERMINATED"), closed("COMPLETED")])
def test_the_row_of_a_workflow_without_one_is_inserted(execution: Execution) -> None:
    assert kind_and_repair(None, execution) == (FindingKind.LEDGER_MISSING, Repair.WRITE_ROW)


def test_no_detail_contains_personal_data() -> None:
    """The Temporal UI shows it as the reason of a take-up."""
    known = row(State.CANCELLING)
    pairs = [(known, None), (known, closed("TERMINATED")), (known, running(State.ABORTED)), (None, running(None))]
    for each, execution in pairs:
        found = diagnose(each, execution, NOW)
        assert found is not None
        for field in ("userName", "thirdServerCode", "ip"):
            assert known.input["adjust"][field] not in found.detail


@pytest.mark.parametrize("state", OPEN_STATES)
def test_an_open_settlement_whose_system_cannot_be_called_is_reported_and_not_repaired(state: State) -> None:
    found = diagnose(row(state), running(state), NOW, "it is not in the configuration")
    assert found is not None
    assert (found.kind, found.repair) == (FindingKind.SYSTEM_NOT_CONFIGURED, Repair.NONE)
    assert "external system default cannot be called: it is not in the configuration" in found.detail


def test_an_ended_settlement_needs_no_system() -> None:
    assert diagnose(row(State.CANCELLED), None, NOW, "it is not in the configuration") is None
