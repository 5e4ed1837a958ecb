"""Merging the ledger's and the workflow's snapshot: the newer one counts; opposite decisions are not merged."""

from datetime import UTC, datetime

import pytest

from activities.reconciliation.diagnose import Execution
from activities.reconciliation.snapshot_merge import (
    NotRepairedError,
    can_continue_from_ledger,
    newer_snapshot,
    with_higher_version,
)
from settlement.snapshot import Snapshot
from settlement.states import END_STATES, State, decision_of
from tests.support import lost
from tests.support.orders import settlement

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
ORDER = settlement()


def snapshot(state: State, version: int) -> Snapshot:
    return Snapshot(version=version, state=state, decision=decision_of(state), updated_at=NOW)


def test_without_a_workflow_snapshot_the_ledgers_is_used() -> None:
    known = snapshot(State.CANCELLING, 3)
    assert newer_snapshot(known, None) == known


@pytest.mark.parametrize(("ledgers", "own", "expected"), [(3, 5, 5), (5, 3, 5), (4, 4, 4)])
def test_the_snapshot_with_the_higher_version_is_newer(ledgers: int, own: int, expected: int) -> None:
    """Of equal versions the workflow's."""
    found = newer_snapshot(snapshot(State.CANCELLING, ledgers), snapshot(State.ABORTED, own))
    assert found.version == expected
    assert found.state is (State.ABORTED if own >= ledgers else State.CANCELLING)


def test_a_snapshot_with_a_decision_is_newer_regardless_of_versions() -> None:
    """A Temporal restored from a backup counts versions from an older one."""
    undecided, decided = snapshot(State.ADJUSTING, 9), snapshot(State.CANCELLING, 2)
    for known, own in ((undecided, decided), (decided, undecided)):
        assert (newer_snapshot(known, own).state, newer_snapshot(known, own).version) == (State.CANCELLING, 9)


def test_opposite_decisions_are_rejected_and_named() -> None:
    for known, own in ((State.CANCELLING, State.SETTLED), (State.SETTLED, State.ABORTED)):
        with pytest.raises(NotRepairedError) as raised:
            newer_snapshot(snapshot(known, 1), snapshot(own, 2))
        assert "PROCEED" in str(raised.value)
        assert "VOID" in str(raised.value)


def test_a_higher_version_is_written_unchanged() -> None:
    own = snapshot(State.CANCELLED, 4)
    assert with_higher_version(snapshot(State.CANCELLING, 3), own) == own


@pytest.mark.parametrize("version", [1, 6, 7])
def test_a_lower_version_is_raised_and_both_audits_are_merged(version: int) -> None:
    known = lost.aborted(ORDER).model_copy(update={"version": 7})
    own = lost.cancelling(ORDER).model_copy(update={"version": version, "state": State.CANCELLED})
    written = with_higher_version(known, own)
    assert (written.version, written.state) == (8, State.CANCELLED)
    assert written.calls == known.calls
    assert written.state_changes == known.state_changes
    assert written.cancel_intents == known.cancel_intents


def test_a_cancel_intent_that_only_the_ledger_has_is_kept() -> None:
    known = lost.cancelling(ORDER).model_copy(update={"version": 7})
    assert with_higher_version(known, snapshot(State.CANCELLED, 1)).cancel_intents == known.cancel_intents


def ended(state: State | None) -> Execution:
    return Execution(run_id="r", status="TERMINATED", closed_at=ORDER.accepted_at, state=state, task_attempt=0)


def test_a_missing_workflow_can_continue_from_the_ledger() -> None:
    assert can_continue_from_ledger(snapshot(State.ADJUSTING, 0), None)


@pytest.mark.parametrize("ledgers", sorted(set(State) - END_STATES))
@pytest.mark.parametrize("own", State)
def test_a_lost_workflow_can_continue_from_the_ledger_only_without_an_end_or_other_decision(
    ledgers: State, own: State
) -> None:
    enough = own not in END_STATES and decision_of(own) in {None, decision_of(ledgers)}
    assert can_continue_from_ledger(snapshot(ledgers, 1), ended(own)) is enough


def test_a_workflow_in_an_unknown_state_cannot_continue_from_the_ledger() -> None:
    assert not can_continue_from_ledger(snapshot(State.CANCELLING, 1), ended(None))
