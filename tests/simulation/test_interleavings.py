"""All interleavings of losses, delays, copies, wrong replies and crashes, against the simulator's real books.

If the external system breaks an obligation, exactly the schedules that must show it violate the invariant.
"""

from collections.abc import Callable
from typing import Any

import pytest

from settlement.policy import ConfirmMode
from tests.simulation.books_model import ALL_KEPT, Obligation
from tests.simulation.interleavings import Exploration
from tests.simulation.model_state import Bounds
from tests.simulation.violation import ViolationKind

WITHIN: dict[str, dict[str, Any]] = {
    "3 attempts": {"bounds": Bounds(attempts=3, rounds=1)},
    "2 attempts, an operator's retry": {"bounds": Bounds(attempts=2, rounds=2)},
    "3 attempts, an operator's retry": {"bounds": Bounds(attempts=3, rounds=2)},
    "2 attempts, the adjust refused": {"bounds": Bounds(attempts=2, rounds=1), "refuses": True},
    "2 attempts, everything confirmed": {"bounds": Bounds(attempts=2, rounds=2), "confirm": ConfirmMode.ALWAYS},
    "3 attempts, nothing confirmed": {"bounds": Bounds(attempts=3, rounds=1), "confirm": ConfirmMode.NEVER},
}


LARGE = "3 attempts, an operator's retry"
"""It has ten times the states of any other bounds. `make test` explores fewer attempts and fewer rounds."""


@pytest.mark.parametrize(
    "bounds",
    [pytest.param(each, marks=pytest.mark.prove("interleavings")) if each == LARGE else each for each in WITHIN],
)
def test_no_schedule_violates_the_invariant_if_the_external_system_keeps_the_contract(
    bounds: str, say: Callable[[str], None]
) -> None:
    explored = Exploration(**WITHIN[bounds]).run()
    say(f"interleavings, {bounds}: {explored.in_words()}")
    assert explored.schedules > 1_000_000
    assert explored.examples == {}
    assert explored.violating == 0


VIOLATIONS = {
    Obligation.BURN_NUMBERS: {ViolationKind.CANCELLED_BUT_HELD, ViolationKind.CANCEL_RESULT_WRONG},
    Obligation.ADJUST_ONCE: {
        ViolationKind.ADJUSTED_TWICE,
        ViolationKind.CANCELLED_BUT_HELD,
        ViolationKind.CANCEL_RESULT_WRONG,
        ViolationKind.SETTLED_NOT_HELD,
    },
    Obligation.REVERSE_ONCE: {ViolationKind.CANCELLED_BUT_HELD},
    Obligation.TELL_THE_TRUTH: {ViolationKind.CANCELLED_BUT_HELD, ViolationKind.CANCEL_RESULT_WRONG},
}


@pytest.mark.parametrize("broken", Obligation)
def test_a_schedule_violates_the_invariant_if_and_only_if_it_meets_a_broken_obligation(
    broken: Obligation, say: Callable[[str], None]
) -> None:
    explored = Exploration(bounds=Bounds(attempts=2, rounds=1), kept=ALL_KEPT - {broken}).run()
    say(f"interleavings, {broken} broken: {explored.in_words()}")
    assert explored.unexpected == []
    assert 0 < explored.violating < explored.schedules
    assert set(explored.examples) == VIOLATIONS[broken]
