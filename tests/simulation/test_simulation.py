"""A few seeds of the simulation: fixed ones, regressions, and one random seed.

`make prove` runs more, `make simulate SEEDS=500` any number. A failure prints the command that replays its seed.
"""

import random
from collections.abc import Callable
from typing import get_args

import pytest

from contract.operations import CancelOperation
from settlement.circuit_breaker import BreakerState
from tests.simulation.call_scripts import Answer, Crash
from tests.simulation.plan import Action, TriggerPoint
from tests.simulation.run import SEEDS_AT_ONCE, new_world, replay_line, run_seeds
from tests.simulation.seeds import ORDERS, plans_of
from tests.simulation.world import World

FIXED = (1,)
REGRESSIONS = {
    35: "attempts whose heartbeat was lost together with their worker were not in the audit",
    1011: "an operator's retry during the write of ABORTED: the simulation took the settlement for one that rests",
}

MANY = range(1_000, 1_000 + 8 * SEEDS_AT_ONCE, SEEDS_AT_ONCE)
"""The first seeds of the batches that `make prove` runs."""


async def test_no_seed_violates_the_invariant(small_world: World, say: Callable[[str], None]) -> None:
    seeds = [*FIXED, *REGRESSIONS, random.SystemRandom().randrange(1_000, 1_000_000)]
    ran = await run_seeds(small_world, seeds)
    say(f"simulation: {ran.settlements} settlements of the seeds {seeds}: {len(ran.violations)} violations")
    assert [replay_line(*each) for each in ran.violations] == []
    assert ran.settlements == ORDERS * len(seeds)
    assert await small_world.check_sum() == []


@pytest.mark.prove("seeds")
@pytest.mark.parametrize("first", MANY)
async def test_no_seed_of_many_violates_the_invariant(first: int, say: Callable[[str], None]) -> None:
    async with new_world(sandboxed=False) as world:
        ran = await run_seeds(world, range(first, first + SEEDS_AT_ONCE))
        assert [replay_line(*each) for each in ran.violations] == []
        assert await world.check_sum() == []
    say(f"simulation: {ran.settlements} settlements of the seeds from {first}: {len(ran.violations)} violations")


def test_a_seed_always_gives_the_same_plans() -> None:
    assert plans_of(17) == plans_of(17)
    assert plans_of(17) != plans_of(18)


def test_seeds_reach_every_kind_of_fault() -> None:
    plans = [plan for seed in range(60) for plan in plans_of(seed)]
    scripts = [script for plan in plans for script in (plan.adjust, *plan.cancels)]
    assert {script.answer for script in scripts} == set(Answer)
    assert {script.crash for script in scripts} == set(Crash)
    assert {len(script.arrives) for script in scripts} == {0, 1, 2}
    assert {action for plan in plans for _, action in plan.actions} == set(Action)
    assert {when.where for plan in plans for when, _ in plan.actions} == set(TriggerPoint)
    for trait in ("refuses", "taken_up", "stale", "lost_writes", "repeated_writes"):
        assert any(getattr(plan, trait) for plan in plans), trait
    assert not all(plan.guarded for plan in plans)
    assert {plan.cancel_operation for plan in plans} == set(get_args(CancelOperation))
    assert {plan.breaker for plan in plans} == {None, *BreakerState}
    lost_at = {when.where for plan in plans for when, action in plan.actions if action is Action.LOSE}
    assert lost_at == set(TriggerPoint)
