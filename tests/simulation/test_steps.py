"""Four kinds of cases for every step: it fails, is repeated, is cancelled by Temporal, or meets an action.

All settlements are simulated once, concurrently, in one world. Each test checks its own settlement.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
import pytest_asyncio
from _pytest.mark import ParameterSet
from temporalio.client import WorkflowHistory

from settlement.circuit_breaker import BreakerState
from settlement.policy import ConfirmMode, attempts_of_round
from settlement.states import State
from tests.simulation.call_scripts import AT_ONCE, BROKEN, DECLARED, LOST, NEVER, REPEATED, TWICE, Answer, CallScript
from tests.simulation.evidence import Evidence
from tests.simulation.interleavings import Exploration
from tests.simulation.model_state import Bounds
from tests.simulation.plan import POLICY, Action, Plan, Trigger, TriggerPoint
from tests.simulation.seeds import CRASHES
from tests.simulation.simulated_settlement import SimulatedSettlement
from tests.simulation.steps import CALLS, COMPENSATIONS, CONTRADICTORY, ROUNDS, STEPS, commands, sites
from tests.simulation.violation import Violation
from tests.simulation.world import World
from tests.support.histories import HISTORIES

READABLE_OR_NOT = (Answer.GOOD, Answer.WRONG_CODE, Answer.DENIED, Answer.LOST, Answer.LATE, *BROKEN, *REPEATED)
OUTCOMES = {
    **{f"arrives, answer {answer}": CallScript(AT_ONCE, answer) for answer in READABLE_OR_NOT},
    "not sent": CallScript(NEVER, Answer.NOT_SENT),
    "never arrives": CallScript(NEVER, Answer.LOST),
    "arrives before the next call": CallScript((0.5,), Answer.LOST),
    "arrives after the next call": CallScript((1.5,), Answer.LOST),
    "arrives at the very end": CallScript((99.0,), Answer.LOST),
    "arrives twice": CallScript(TWICE),
    "arrives twice, the answer lost": CallScript((0.0, 1.5), Answer.LOST),
    "arrives twice, late": CallScript((0.5, 1.5), Answer.LOST),
}
FAILURES = {
    name: script
    for name, script in OUTCOMES.items()
    if not (script.at_once and script.answer is Answer.GOOD) and script.answer is not Answer.DENIED
}
"""Of a cancel: every outcome that is not a correct reply."""


def failing() -> Iterator[tuple[str, Plan]]:
    """Every external call with every outcome."""
    for step in CALLS:
        for name, script in OUTCOMES.items():
            yield f"{step.name}: {name}", step.with_scripts(script)
    for name, script in OUTCOMES.items():
        yield f"adjust, refused: {name}", replace(CALLS[0].with_scripts(script), refuses=True)


def crashing() -> Iterator[tuple[str, Plan]]:
    """Every external call with a worker crash at each point."""
    for step in CALLS:
        for crash in CRASHES:
            yield f"{step.name}: worker dies {crash}", step.with_scripts(CallScript(crash=crash))


def rounds() -> Iterator[tuple[str, Plan]]:
    """Every compensation that fails in each way until its attempts are used up."""
    for step in COMPENSATIONS:
        for name, script in FAILURES.items():
            yield f"{step.name}, three times: {name}", step.with_scripts(script, script, script)
        yield (
            f"{step.name}, three times: worker dies",
            step.with_scripts(*(CallScript(crash=each) for each in CRASHES[1:])),
        )


def acting() -> Iterator[tuple[str, Plan]]:
    """Every action at every trigger."""
    for step in STEPS:
        for trigger in step.triggers:
            for action in Action:
                yield f"{step.name}: {action} at {trigger.where} {trigger.n}", step.with_action(trigger, action)


def writing() -> Iterator[tuple[str, Plan]]:
    """Every ledger write that fails, and every one that is repeated."""
    for n in range(3):
        lost = Plan(adjust=CallScript(NEVER, Answer.LOST), lost_writes=frozenset({n}))
        yield f"record: write {n} fails", lost
        yield f"record: write {n} is repeated", replace(lost, lost_writes=frozenset(), repeated_writes=frozenset({n}))
    yield (
        "record: the ledger is unreachable throughout",
        Plan(adjust=CallScript(NEVER, Answer.LOST), lost_writes=frozenset(range(6))),
    )


def waiting() -> Iterator[tuple[str, Plan]]:
    """Every wait of a round, and calls that an open breaker does not send at once; no action."""
    for state in BreakerState:
        yield f"adjust: circuit breaker {state}", Plan(breaker=state)
        yield f"adjust: circuit breaker {state}, never arrives", Plan(adjust=LOST, cancels=(LOST,), breaker=state)
    for step in STEPS:
        if step.site.module == ROUNDS and step.attempt is None:
            yield f"{step.name}: no action", step.plan


def declaring() -> Iterator[tuple[str, Plan]]:
    """Every cancel with every reply that the configuration declares, once and always; every mode of confirmation."""
    for step in COMPENSATIONS:
        for answer in DECLARED:
            yield f"{step.name}: declared {answer}", step.with_scripts(CallScript(AT_ONCE, answer))
            always = [CallScript(AT_ONCE, answer)] * 20
            yield f"{step.name}: declared {answer}, always", step.with_scripts(*always)
    for confirm in ConfirmMode:
        policy = POLICY.model_copy(update={"confirm": confirm})
        for name, adjust in {"lost": CallScript(NEVER), "reply lost": CallScript(AT_ONCE, Answer.LOST)}.items():
            yield f"confirming cancel: {confirm}, adjust {name}", Plan(adjust=adjust, policy=policy)
        yield f"confirming cancel: {confirm}, adjust refused", Plan(refuses=True, policy=policy)
    yield "confirming cancel: contradiction", CONTRADICTORY
    for action in (Action.RETRY, Action.RESOLVE, Action.STOP, Action.LOSE):
        at_abort = ((Trigger(TriggerPoint.ABORT), action),)
        yield f"confirming cancel: contradiction, {action}", replace(CONTRADICTORY, actions=at_abort)


EXPECTED = {**dict(crashing()), **dict(rounds()), **dict(failing())}
PLANS = {**EXPECTED, **dict(acting()), **dict(writing()), **dict(waiting()), **dict(declaring())}

DISTINCT = {
    *(f"arrives, answer {answer}" for answer in ("GOOD", "WRONG_CODE", "DENIED", "LOST", "HTTP_500", "CROSSED")),
    *("not sent", "never arrives", "arrives before the next call", "arrives after the next call", "arrives twice"),
}
"""Outcomes that lead to different states of the workflow or of the books."""
IN_EVERY_ROUND = {"arrives, answer WRONG_CODE", "never arrives", "arrives before the next call", "worker dies"}
RESOLVED_AT = {"start", "cancel adjust, first", "operator"}


def in_every_run(name: str) -> bool:
    """Return whether `make test` runs a plan; `make prove` runs the others, which resemble one of these."""
    step, _, case = name.partition(": ")
    if name in dict(acting()):
        return not case.startswith(Action.STOP_TWICE) and (not case.startswith(Action.RESOLVE) or step in RESOLVED_AT)
    if step.endswith("three times"):
        return case in IN_EVERY_ROUND
    if name in dict(declaring()):
        return not step.startswith("cancel adjust, ") or step == "cancel adjust, first"
    return step == "adjust" or case in DISTINCT or case not in OUTCOMES


def cases(names: Iterable[str]) -> list[ParameterSet]:
    """Return the names as parameters, those of `make prove` with its marker."""
    return [pytest.param(each, marks=() if in_every_run(each) else pytest.mark.prove("steps")) for each in names]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def settlements(request: pytest.FixtureRequest, small_world: World) -> dict[str, SimulatedSettlement]:
    """Simulate all plans of this run."""
    tests = [each for each in request.session.items if each.path == request.path]
    short_or_long = {each.get_closest_marker("prove") is None for each in tests}
    names = [name for name in PLANS if in_every_run(name) in short_or_long]
    # First those that wait in real time for the timeout of a crashed worker.
    names.sort(key=lambda name: "worker dies" not in name)
    executed = await small_world.simulate([PLANS[name] for name in names], "step")
    return dict(zip(names, executed, strict=True))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def found(small_world: World, settlements: dict[str, SimulatedSettlement]) -> list[Violation]:
    """Check all settlements."""
    return await small_world.check(list(settlements.values()))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def every(small_world: World, settlements: dict[str, SimulatedSettlement]) -> dict[str, Evidence]:
    """Return all evidence by the name of its plan."""
    evidence = await small_world.evidence(list(settlements.values()))
    return {name: evidence[simulated.number] for name, simulated in settlements.items()}


@pytest.mark.parametrize("name", cases(PLANS))
def test_the_invariant_holds(name: str, settlements: dict[str, SimulatedSettlement], found: list[Violation]) -> None:
    assert [each for each in found if each.number == settlements[name].number] == []
    assert set(settlements[name].triggered) == {when for when, _ in PLANS[name].actions}, "a trigger did not occur"


@pytest.mark.parametrize("name", cases(name for name, plan in EXPECTED.items() if not plan.actions))
def test_the_end_state_equals_that_of_the_interleavings_model(name: str, every: dict[str, Evidence]) -> None:
    """So the results of the model also hold for the workflow."""
    plan = PLANS[name]
    model = Exploration(bounds=Bounds(attempts=attempts_of_round(plan.policy)), refuses=plan.refuses)
    expected = model.end_of(plan)
    evidence = every[name]
    view, books = evidence.view, model.books(expected)
    assert (view.state, view.cancel_result) == (expected.state, expected.result)
    assert [change.state for change in view.state_changes] == list(expected.path[1:])
    assert (evidence.books.state, evidence.books.burnt) == (books.state, books.burnt)
    assert len(view.calls) == 1 + sum(records for _, records in expected.audited)
    model.close()


@pytest.mark.parametrize("name", cases(dict(rounds())))
def test_every_failed_compensation_is_listed_as_aborted(name: str, every: dict[str, Evidence]) -> None:
    evidence = every[name]
    assert evidence.view.state is State.ABORTED
    assert evidence.listed == {State.ABORTED}


async def test_the_sum_of_the_accounts_is_correct(
    small_world: World, settlements: dict[str, SimulatedSettlement]
) -> None:
    assert settlements
    assert await small_world.check_sum() == []


def test_the_table_has_every_place_where_the_workflow_waits() -> None:
    assert {step.site for step in STEPS} == sites()


async def test_the_table_has_every_command_of_every_recorded_history() -> None:
    recorded = set[str]()
    for path in HISTORIES.glob("*/*.json"):
        history = WorkflowHistory.from_json("any", path.read_text())
        if history.events[0].workflow_execution_started_event_attributes.workflow_type.name == "OrderSettlement":
            recorded |= await commands(history)
    assert recorded
    assert recorded <= {step.command for step in STEPS}


async def test_exactly_the_commands_of_the_table_were_executed(
    settlements: dict[str, SimulatedSettlement],
) -> None:
    """One settlement leads to each step; the fetch of all histories would cost more than their simulation."""
    one_per_step = {name.partition(": ")[0]: simulated for name, simulated in settlements.items()}
    executed = set[str]()
    for simulated in one_per_step.values():
        assert simulated.handle is not None
        executed |= await commands(await simulated.handle.fetch_history())
    assert executed == {step.command for step in STEPS} - {None}
