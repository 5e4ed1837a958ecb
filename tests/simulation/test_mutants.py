"""Tests of the tests: every planted bug is caught, by name, on plans on which the product keeps its promise."""

import ast
import inspect
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.simulation.broken import Broken
from tests.simulation.call_outcomes import AT_ONCE, LOST, Answer, Crash, Fate
from tests.simulation.mutants import MUTANTS
from tests.simulation.plan import Act, Moment, Plan, Where
from tests.simulation.run import new_world
from tests.simulation.steps import FAILS, ROUND
from tests.simulation.world import LIFE_LIMIT_S, World

APPLIED_BUT_LOST = Fate(AT_ONCE, Answer.LOST)
GAUNTLET = (
    Plan(),
    Plan(adjust=LOST),
    Plan(refuses=True),
    Plan(adjust=APPLIED_BUT_LOST),
    Plan(adjust=APPLIED_BUT_LOST, cancels=(FAILS, FAILS)),
    Plan(adjust=APPLIED_BUT_LOST, cancels=ROUND),
    Plan(adjust=Fate(AT_ONCE, Answer.DENIED), cancels=ROUND),
    Plan(adjust=APPLIED_BUT_LOST, cancels=ROUND, actions=((Moment(Where.ABORT), Act.RESOLVE),)),
    Plan(adjust=Fate(AT_ONCE, Answer.LATE)),
    Plan(adjust=Fate((1.5,), Answer.LOST), guarded=False),
    Plan(adjust=Fate(crash=Crash.BEFORE_SEND)),
    Plan(adjust=Fate(crash=Crash.AFTER_SEND)),
    Plan(adjust=APPLIED_BUT_LOST, cancels=(FAILS, FAILS, Fate(crash=Crash.UNHEARD))),
    Plan(adjust=APPLIED_BUT_LOST, cancels=(FAILS, FAILS), actions=((Moment(Where.CALL, 2), Act.LOSE),)),
    Plan(adjust=Fate(AT_ONCE, Answer.CROSSED), refuses=True),
)


LOST_AFTER = timedelta(seconds=1)
RESTLESS_S = 6
"""Real time after which a planted bug that lets nothing come to rest is judged."""


async def broken_invariants(world: World, limit_s: float) -> Counter[Broken]:
    found = await world.judge(await world.live(GAUNTLET, "gauntlet", limit_s=limit_s))
    return Counter(each.name for each in (*found, *await world.judge_sum()))


async def test_the_product_passes_the_gauntlet() -> None:
    async with new_world() as world:
        assert await broken_invariants(world, LIFE_LIMIT_S) == Counter()


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_a_planted_bug_is_caught_by_name(mutant: str, say: Callable[[str], None]) -> None:
    planted = MUTANTS[mutant]
    async with new_world(sandboxed=False, lost_after=LOST_AFTER) as world:
        with planted.plant():
            found = await broken_invariants(world, LIFE_LIMIT_S if planted.rests else RESTLESS_S)
    names = ", ".join(f"{name} ({count})" for name, count in sorted(found.items()))
    say(f"planted bug, {mutant}: caught by {names or 'nothing'}")
    assert found.keys() >= planted.caught_by


def test_every_violation_is_raised_by_a_planted_bug_or_in_a_test_of_its_own() -> None:
    """What only callers on the real stack can see has no mutant here: an assertion of the storm's tests names it."""
    planted = {name for mutant in MUTANTS.values() for name in mutant.caught_by}
    assert planted | named_in_assertions(inspect.getsource(test_assessment)) == set(Broken)
    assert set(Broken) - planted == {Broken.LOST, Broken.ANSWERED_WRONGLY}


def named_in_assertions(source: str) -> set[Broken]:
    tests = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    asserting = [each for each in tests if any(isinstance(inner, ast.Assert) for inner in ast.walk(each))]
    return {
        Broken[inner.attr]
        for each in asserting
        for inner in ast.walk(each)
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "Broken"
    }
