"""Tests of the tests: every planted bug is detected by name, with plans on which the product violates no rule."""

import ast
import inspect
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from settlement.circuit_breaker import BreakerState
from tests.chaos import test_assessment
from tests.simulation.call_scripts import AT_ONCE, LOST, Answer, CallScript, Crash
from tests.simulation.mutants import MUTANTS
from tests.simulation.plan import Action, Plan, Trigger, TriggerPoint
from tests.simulation.run import new_world
from tests.simulation.steps import CONTRADICTORY, FAILS, IN_PROCESS, ROUND, SPARSE
from tests.simulation.violation import ViolationKind
from tests.simulation.world import REST_LIMIT_S, World

APPLIED_BUT_LOST = CallScript(AT_ONCE, Answer.LOST)
MUTANT_PLANS = (
    Plan(),
    Plan(adjust=LOST),
    Plan(refuses=True),
    Plan(adjust=APPLIED_BUT_LOST),
    Plan(adjust=APPLIED_BUT_LOST, cancels=(FAILS, FAILS)),
    Plan(adjust=APPLIED_BUT_LOST, cancels=ROUND),
    Plan(adjust=CallScript(AT_ONCE, Answer.DENIED), cancels=ROUND),
    Plan(adjust=APPLIED_BUT_LOST, cancels=ROUND, actions=((Trigger(TriggerPoint.ABORT), Action.RESOLVE),)),
    Plan(
        adjust=APPLIED_BUT_LOST,
        cancels=ROUND,
        actions=((Trigger(TriggerPoint.ABORT), Action.RESOLVE),),
        amount="1000000.00",
    ),
    Plan(adjust=CallScript(AT_ONCE, Answer.LATE)),
    Plan(adjust=CallScript((1.5,), Answer.LOST), guarded=False),
    Plan(adjust=CallScript(crash=Crash.BEFORE_SEND)),
    Plan(adjust=CallScript(crash=Crash.AFTER_SEND)),
    Plan(adjust=APPLIED_BUT_LOST, cancels=(FAILS, FAILS, CallScript(crash=Crash.UNHEARD))),
    Plan(adjust=APPLIED_BUT_LOST, cancels=(FAILS, FAILS), actions=((Trigger(TriggerPoint.CALL, 2), Action.LOSE),)),
    Plan(adjust=CallScript(AT_ONCE, Answer.CROSSED), refuses=True),
    Plan(breaker=BreakerState.OPEN),
    CONTRADICTORY,
    Plan(adjust=APPLIED_BUT_LOST, cancels=(IN_PROCESS,) * 6, policy=SPARSE),
    Plan(adjust=APPLIED_BUT_LOST, cancels=(CallScript(AT_ONCE, Answer.REFUSED_FOR_GOOD),)),
    Plan(adjust=APPLIED_BUT_LOST, cancels=ROUND, policy=SPARSE),
)


LOST_AFTER = timedelta(seconds=1)
RESTLESS_S = 6
"""Real time after which a planted bug that never lets work end is checked."""


IN_EVERY_RUN = {
    "retries the adjust",
    "forgets the confirming cancel",
    "sends another body under the same number",
}
"""The planted bugs that `make test` runs: in the workflow, its plan and an activity. `make prove` runs all."""


async def violations_of(world: World, limit_s: float) -> Counter[ViolationKind]:
    found = await world.check(await world.simulate(MUTANT_PLANS, "mutant", limit_s=limit_s))
    return Counter(each.name for each in (*found, *await world.check_sum()))


async def test_the_product_without_a_planted_bug_violates_nothing() -> None:
    async with new_world() as world:
        assert await violations_of(world, REST_LIMIT_S) == Counter()


@pytest.mark.parametrize(
    "mutant",
    [each if each in IN_EVERY_RUN else pytest.param(each, marks=pytest.mark.prove("mutants")) for each in MUTANTS],
)
async def test_a_planted_bug_is_detected_by_name(mutant: str, say: Callable[[str], None]) -> None:
    planted = MUTANTS[mutant]
    async with new_world(sandboxed=False, lost_after=LOST_AFTER) as world:
        with planted.plant():
            found = await violations_of(world, REST_LIMIT_S if planted.rests else RESTLESS_S)
    names = ", ".join(f"{name} ({count})" for name, count in sorted(found.items()))
    say(f"planted bug, {mutant}: caught by {names or 'nothing'}")
    assert found.keys() >= planted.caught_by


def test_every_kind_of_violation_has_a_planted_bug_or_its_own_test() -> None:
    """Violations that only callers on the real stack can see have no mutant; a test of the chaos tests names them."""
    planted = {name for mutant in MUTANTS.values() for name in mutant.caught_by}
    assert planted | named_in_assertions(inspect.getsource(test_assessment)) == set(ViolationKind)
    assert set(ViolationKind) - planted == {ViolationKind.LOST, ViolationKind.ANSWERED_WRONGLY}


def named_in_assertions(source: str) -> set[ViolationKind]:
    tests = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    asserting = [each for each in tests if any(isinstance(inner, ast.Assert) for inner in ast.walk(each))]
    return {
        ViolationKind[inner.attr]
        for each in asserting
        for inner in ast.walk(each)
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "ViolationKind"
    }
