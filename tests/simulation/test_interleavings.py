"""Every order of losses, delays, copies, wrong answers and crashes, against the simulator's real books.

And the other way round: each promise that an external system breaks is found, in the schedules in which
it must show and in no others.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulation.broken import Broken
from tests.simulation.interleavings import Exploration
from tests.simulation.machine import ALL_KEPT, Obligation
from tests.simulation.schedule import Bounds

WITHIN: dict[str, dict[str, Any]] = {
    "3 attempts": {"bounds": Bounds(attempts=3, rounds=1)},
    "2 attempts, an operator's retry": {"bounds": Bounds(attempts=2, rounds=2)},
    "3 attempts, an operator's retry": {"bounds": Bounds(attempts=3, rounds=2)},
    "2 attempts, the adjust refused": {"bounds": Bounds(attempts=2, rounds=1), "refuses": True},
    "3 attempts, nothing confirmed": {"bounds": Bounds(attempts=3, rounds=1), "confirms": False},
}


LARGE = "3 attempts, an operator's retry"
"""Ten times the states of any other. `make test` explores what is next to it: fewer attempts, and fewer rounds."""


@pytest.mark.parametrize(
    "bounds",
    [pytest.param(each, marks=pytest.mark.prove("interleavings")) if each == LARGE else each for each in WITHIN],
)
def test_no_schedule_breaks_the_invariant_at_an_external_system_that_keeps_the_contract(
    bounds: str, say: Callable[[str], None]
) -> None:
    explored = Exploration(**WITHIN[bounds]).run()
    say(f"interleavings, {bounds}: {explored.in_words()}")
    assert explored.schedules > 1_000_000
    assert explored.examples == {}
    assert explored.violating == 0


SHOWS = {
    Obligation.BURN_NUMBERS: {Broken.CANCELLED_BUT_HELD, Broken.CANCEL_RESULT_UNTRUE},
    Obligation.ADJUST_ONCE: {
        Broken.ADJUSTED_TWICE,
        Broken.CANCELLED_BUT_HELD,
        Broken.CANCEL_RESULT_UNTRUE,
        Broken.SETTLED_NOT_HELD,
    },
    Obligation.REVERSE_ONCE: {Broken.CANCELLED_BUT_HELD},
    Obligation.TELL_THE_TRUTH: {Broken.CANCELLED_BUT_HELD, Broken.CANCEL_RESULT_UNTRUE},
}


@pytest.mark.parametrize("broken", Obligation)
def test_a_schedule_breaks_the_invariant_if_and_only_if_a_broken_obligation_meets_it(
    broken: Obligation, say: Callable[[str], None]
) -> None:
    explored = Exploration(bounds=Bounds(attempts=2, rounds=1), kept=ALL_KEPT - {broken}).run()
    say(f"interleavings, {broken} broken: {explored.in_words()}")
    assert explored.unexpected == []
    assert 0 < explored.violating < explored.schedules
    assert set(explored.examples) == SHOWS[broken]
