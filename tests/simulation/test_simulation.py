"""A few seeds of the seeded simulation: fixed ones, those that have found something, and one that nobody has seen.

`make simulate SEEDS=500` runs many; a line that a failure prints replays its seed.
"""

import random
from collections.abc import Callable
from typing import get_args

from settlement.calls import CancelOperation
from tests.simulation.call_outcomes import Answer, Crash
from tests.simulation.plan import Act, Where
from tests.simulation.run import replay_line, run_seeds
from tests.simulation.seeds import ORDERS, plans_of
from tests.simulation.world import World

FIXED = (1, 2, 3)
REGRESSIONS = {
    35: "attempts whose heartbeat was lost together with their worker were not in the audit",
}


async def test_no_seed_breaks_the_invariant(small_world: World, say: Callable[[str], None]) -> None:
    seeds = [*FIXED, *REGRESSIONS, random.SystemRandom().randrange(1_000, 1_000_000)]
    ran = await run_seeds(small_world, seeds)
    say(f"simulation: {ran.settlements} settlements of the seeds {seeds}: {len(ran.violations)} violations")
    assert [replay_line(*each) for each in ran.violations] == []
    assert ran.settlements == ORDERS * len(seeds)
    assert await small_world.judge_sum() == []


def test_a_seed_always_gives_the_same_plans() -> None:
    assert plans_of(17) == plans_of(17)
    assert plans_of(17) != plans_of(18)


def test_seeds_reach_every_kind_of_fault() -> None:
    plans = [plan for seed in range(200) for plan in plans_of(seed)]
    fates = [fate for plan in plans for fate in (plan.adjust, *plan.cancels)]
    assert {fate.answer for fate in fates} == set(Answer)
    assert {fate.crash for fate in fates} == set(Crash)
    assert {len(fate.arrives) for fate in fates} == {0, 1, 2}
    assert {act for plan in plans for _, act in plan.actions} == set(Act)
    assert {when.where for plan in plans for when, _ in plan.actions} == set(Where)
    for trait in ("refuses", "taken_up", "stale", "lost_writes", "repeated_writes"):
        assert any(getattr(plan, trait) for plan in plans), trait
    assert not all(plan.guarded for plan in plans)
    assert {plan.cancel_operation for plan in plans} == set(get_args(CancelOperation))
    lost_at = {when.where for plan in plans for when, act in plan.actions if act is Act.LOSE}
    assert lost_at == set(Where)
