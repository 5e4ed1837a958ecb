"""The tables of states: every state is reachable, end states are final, a decision never changes."""

import pytest

from settlement.states import END_STATES, TRANSITIONS, Decision, State, decision_of


def reachable(start: State) -> set[State]:
    """Return `start` and every state that can follow it in any number of steps."""
    seen, todo = {start}, [start]
    while todo:
        for after in TRANSITIONS[todo.pop()] - seen:
            seen.add(after)
            todo.append(after)
    return seen


def test_every_state_has_transitions() -> None:
    assert set(TRANSITIONS) == set(State)


def test_every_state_is_reachable_from_the_first() -> None:
    assert reachable(State.ADJUSTING) == set(State)


def test_the_first_state_is_never_entered_again() -> None:
    assert all(State.ADJUSTING not in after for after in TRANSITIONS.values())


@pytest.mark.parametrize("state", list(State))
def test_no_state_follows_itself(state: State) -> None:
    assert state not in TRANSITIONS[state]


@pytest.mark.parametrize("state", list(State))
def test_end_states_are_exactly_those_without_a_transition(state: State) -> None:
    assert (state in END_STATES) is (reachable(state) == {state})


def test_the_four_end_states() -> None:
    """ABORTED is not one of them: it waits for an operator, who sees the amount at risk."""
    assert {State.SETTLED, State.EXPIRED, State.CANCELLED, State.RESOLVED} == END_STATES


@pytest.mark.parametrize("state", list(State))
def test_an_end_state_is_reachable_from_every_state(state: State) -> None:
    assert reachable(state) & END_STATES


@pytest.mark.parametrize("state", list(State))
def test_only_adjusting_has_no_decision(state: State) -> None:
    assert (decision_of(state) is None) is (state is State.ADJUSTING)


@pytest.mark.parametrize("state", list(State))
def test_only_settled_lets_the_order_proceed(state: State) -> None:
    assert (decision_of(state) is Decision.PROCEED) is (state is State.SETTLED)


@pytest.mark.parametrize("state", [state for state in State if decision_of(state) is Decision.VOID])
def test_a_void_order_never_becomes_settled(state: State) -> None:
    """A late success never changes the decision."""
    assert State.SETTLED not in reachable(state)


@pytest.mark.parametrize("state", [state for state in State if decision_of(state) is not None])
def test_a_decision_never_changes(state: State) -> None:
    assert {decision_of(after) for after in reachable(state)} == {decision_of(state)}


def test_only_an_operator_can_leave_aborted() -> None:
    """By retry or resolve; there is no automatic transition."""
    assert TRANSITIONS[State.ABORTED] == {State.CANCELLING, State.RESOLVED}
    assert all(State.RESOLVED not in after for state, after in TRANSITIONS.items() if state is not State.ABORTED)
