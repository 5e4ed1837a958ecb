"""Tests of the tests: every planted bug is caught, by name, on plans on which the product keeps its promise."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.simulation.broken import Broken
from tests.simulation.fates import AT_ONCE, LOST, Answer, Crash, Fate
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
    Plan(adjust=APPLIED_BUT_LOST, cancels=ROUND, acts=((Moment(Where.ABORT), Act.RESOLVE),)),
    Plan(adjust=Fate(AT_ONCE, Answer.LATE)),
    Plan(adjust=Fate((1.5,), Answer.LOST), guarded=False),
    Plan(adjust=Fate(crash=Crash.BEFORE_SEND)),
    Plan(adjust=Fate(crash=Crash.AFTER_SEND)),
    Plan(adjust=APPLIED_BUT_LOST, cancels=(FAILS, FAILS, Fate(crash=Crash.UNHEARD))),
)


LOST_AFTER = timedelta(seconds=1)
RESTLESS_S = 6
"""Real time after which a planted bug that lets nothing come to rest is judged."""


async def through_the_gauntlet(world: World, limit_s: float) -> Counter[Broken]:
    return Counter(each.name for each in await world.judge(await world.live(GAUNTLET, "gauntlet", limit_s=limit_s)))


async def test_the_product_passes_the_gauntlet() -> None:
    async with new_world() as world:
        assert await through_the_gauntlet(world, LIFE_LIMIT_S) == Counter()


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_a_planted_bug_is_caught_by_name(mutant: str, say: Callable[[str], None]) -> None:
    planted = MUTANTS[mutant]
    async with new_world(sandboxed=False, lost_after=LOST_AFTER) as world:
        with planted.plant():
            found = await through_the_gauntlet(world, LIFE_LIMIT_S if planted.rests else RESTLESS_S)
    names = ", ".join(f"{name} ({count})" for name, count in sorted(found.items()))
    say(f"planted bug, {mutant}: caught by {names or 'nothing'}")
    assert found.keys() >= planted.caught_by


def test_each_rule_has_a_bug_that_only_a_rule_can_catch() -> None:
    """NOT_AT_REST would be a run that never ends; the sum is held by its own test."""
    planted = {name for mutant in MUTANTS.values() for name in mutant.caught_by}
    assert set(Broken) - planted == {Broken.NOT_AT_REST, Broken.MONEY_DOES_NOT_ADD_UP}
