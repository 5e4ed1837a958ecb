"""The tables about states: every state can be reached, ends are ends, a decision never changes."""

import pytest

from settlement.states import END_STATES, TRANSITIONS, Decision, State, decision_of


def reachable(start: State) -> set[State]:
    """Return every state that may follow `start`, in any number of steps, and itself."""
    seen, todo = {start}, [start]
    while todo:
        for after in TRANSITIONS[todo.pop()] - seen:
            seen.add(after)
            todo.append(after)
    return seen


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


def test_every_state_can_be_reached_from_the_first() -> None:
    assert reachable(State.ADJUSTING) == set(State)


def test_the_first_state_is_never_entered_again() -> None:
    assert all(State.ADJUSTING not in after for after in TRANSITIONS.values())


@pytest.mark.parametrize("state", list(State))
def test_no_state_leads_to_itself_in_one_step(state: State) -> None:
    assert state not in TRANSITIONS[state]


@pytest.mark.parametrize("state", list(State))
def test_end_states_are_exactly_those_without_a_way_out(state: State) -> None:
    assert (state in END_STATES) is (reachable(state) == {state})


def test_these_four_are_the_ends() -> None:
    """ABORTED is none of them: it waits for an operator, and the money at risk is named."""
    assert {State.SETTLED, State.EXPIRED, State.CANCELLED, State.RESOLVED} == END_STATES


@pytest.mark.parametrize("state", list(State))
def test_every_state_can_still_come_to_an_end(state: State) -> None:
    assert reachable(state) & END_STATES


@pytest.mark.parametrize("state", list(State))
def test_nothing_is_decided_in_adjusting_alone(state: State) -> None:
    assert (decision_of(state) is None) is (state is State.ADJUSTING)


@pytest.mark.parametrize("state", list(State))
def test_only_settled_lets_the_order_proceed(state: State) -> None:
    assert (decision_of(state) is Decision.PROCEED) is (state is State.SETTLED)


@pytest.mark.parametrize("state", [state for state in State if decision_of(state) is Decision.VOID])
def test_a_void_order_never_becomes_settled(state: State) -> None:
    """A late success never flips the verdict."""
    assert State.SETTLED not in reachable(state)


@pytest.mark.parametrize("state", [state for state in State if decision_of(state) is not None])
def test_a_decision_once_given_never_changes(state: State) -> None:
    assert {decision_of(after) for after in reachable(state)} == {decision_of(state)}


def test_only_an_operator_leads_out_of_aborted() -> None:
    """Retry or resolve; automation has no third way."""
    assert TRANSITIONS[State.ABORTED] == {State.CANCELLING, State.RESOLVED}
    assert all(State.RESOLVED not in after for state, after in TRANSITIONS.items() if state is not State.ABORTED)
