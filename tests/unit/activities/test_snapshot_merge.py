"""Of two records of one settlement the one that knows more is gone by; two decisions are nobody's to choose from."""

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


def knows(state: State, version: int) -> Snapshot:
    return Snapshot(version=version, state=state, decision=decision_of(state), updated_at=NOW)


def test_without_the_workflows_word_the_ledgers_counts() -> None:
    known = knows(State.CANCELLING, 3)
    assert newer_snapshot(known, None) == known


@pytest.mark.parametrize(("ledgers", "own", "expected"), [(3, 5, 5), (5, 3, 5), (4, 4, 4)])
def test_the_higher_version_counts_and_stays(ledgers: int, own: int, expected: int) -> None:
    found = newer_snapshot(knows(State.CANCELLING, ledgers), knows(State.ABORTED, own))
    assert found.version == expected
    assert found.state is (State.ABORTED if own > ledgers else State.CANCELLING)


def test_one_that_has_decided_is_newer_than_one_that_has_not_whatever_the_versions() -> None:
    """A Temporal that was set back counts anew."""
    undecided, decided = knows(State.ADJUSTING, 9), knows(State.CANCELLING, 2)
    for known, own in ((undecided, decided), (decided, undecided)):
        assert (newer_snapshot(known, own).state, newer_snapshot(known, own).version) == (State.CANCELLING, 9)


def test_two_decisions_are_refused_and_named() -> None:
    for known, own in ((State.CANCELLING, State.SETTLED), (State.SETTLED, State.ABORTED)):
        with pytest.raises(NotRepairedError) as raised:
            newer_snapshot(knows(known, 1), knows(own, 2))
        assert "PROCEED" in str(raised.value)
        assert "VOID" in str(raised.value)


def test_a_higher_version_is_written_as_it_is() -> None:
    own = knows(State.CANCELLED, 4)
    assert with_higher_version(knows(State.CANCELLING, 3), own) == own


@pytest.mark.parametrize("version", [1, 6, 7])
def test_a_lower_one_is_written_above_with_every_call_and_act_of_both(version: int) -> None:
    known = lost.aborted(ORDER).model_copy(update={"version": 7})
    own = lost.cancelling(ORDER).model_copy(update={"version": version, "state": State.CANCELLED})
    written = with_higher_version(known, own)
    assert (written.version, written.state) == (8, State.CANCELLED)
    assert written.calls == known.calls
    assert written.state_changes == known.state_changes
    assert written.cancel_intents == known.cancel_intents


def test_the_cancel_that_was_begun_is_kept_where_only_the_ledger_has_it() -> None:
    known = lost.cancelling(ORDER).model_copy(update={"version": 7})
    assert with_higher_version(known, knows(State.CANCELLED, 1)).cancel_intents == known.cancel_intents


def ended(state: State | None) -> Execution:
    return Execution(run_id="r", status="TERMINATED", closed_at=ORDER.accepted_at, state=state, task_attempt=0)


def test_the_ledger_is_enough_where_temporal_has_nothing_left() -> None:
    assert can_continue_from_ledger(knows(State.ADJUSTING, 0), None)


@pytest.mark.parametrize("ledgers", sorted(set(State) - END_STATES))
@pytest.mark.parametrize("own", State)
def test_the_ledger_is_enough_only_if_the_lost_workflow_had_neither_ended_nor_decided_more(
    ledgers: State, own: State
) -> None:
    enough = own not in END_STATES and decision_of(own) is decision_of(ledgers)
    assert can_continue_from_ledger(knows(ledgers, 1), ended(own)) is enough


def test_of_an_unknown_state_nothing_follows() -> None:
    assert not can_continue_from_ledger(knows(State.CANCELLING, 1), ended(None))
