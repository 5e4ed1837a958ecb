"""Four harnesses over every step: fail it, repeat it, stop the workflow in it, have somebody act in it.

All settlements live side by side in one world, once; each test looks at its own.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import pytest_asyncio
from temporalio.client import WorkflowHistory

from settlement.states import State
from tests.simulation.broken import Violation
from tests.simulation.call_outcomes import AT_ONCE, BROKEN, NEVER, REPEATED, TWICE, Answer, Fate
from tests.simulation.evidence import Evidence
from tests.simulation.interleavings import Exploration
from tests.simulation.life import Life
from tests.simulation.plan import POLICY, Act, Plan
from tests.simulation.schedule import Bounds
from tests.simulation.seeds import CRASHES
from tests.simulation.steps import CALLS, COMPENSATIONS, STEPS, commands, sites
from tests.simulation.world import World
from tests.support.histories import HISTORIES

READABLE_OR_NOT = (Answer.GOOD, Answer.WRONG_CODE, Answer.DENIED, Answer.LOST, Answer.LATE, *BROKEN, *REPEATED)
OUTCOMES = {
    **{f"arrives, answer {answer}": Fate(AT_ONCE, answer) for answer in READABLE_OR_NOT},
    "not sent": Fate(NEVER, Answer.NOT_SENT),
    "never arrives": Fate(NEVER, Answer.LOST),
    "arrives before the next call": Fate((0.5,), Answer.LOST),
    "arrives after the next call": Fate((1.5,), Answer.LOST),
    "arrives at the very end": Fate((99.0,), Answer.LOST),
    "arrives twice": Fate(TWICE),
    "arrives twice, the answer lost": Fate((0.0, 1.5), Answer.LOST),
    "arrives twice, late": Fate((0.5, 1.5), Answer.LOST),
}
FAILURES = {
    name: fate
    for name, fate in OUTCOMES.items()
    if not (fate.at_once and fate.answer is Answer.GOOD) and fate.answer is not Answer.DENIED
}
"""Of a cancel: every outcome that is no correct reply."""


def failing() -> Iterator[tuple[str, Plan]]:
    """Every external call with every outcome."""
    for step in CALLS:
        for name, fate in OUTCOMES.items():
            yield f"{step.name}: {name}", step.with_fates(fate)
    for name, fate in OUTCOMES.items():
        yield f"adjust, refused: {name}", replace(CALLS[0].with_fates(fate), refuses=True)


def crashing() -> Iterator[tuple[str, Plan]]:
    """Every external call with a worker that dies in it, at each moment."""
    for step in CALLS:
        for crash in CRASHES:
            yield f"{step.name}: worker dies {crash}", step.with_fates(Fate(crash=crash))


def rounds() -> Iterator[tuple[str, Plan]]:
    """Every compensation failing in every way until its attempts are used up."""
    for step in COMPENSATIONS:
        for name, fate in FAILURES.items():
            yield f"{step.name}, three times: {name}", step.with_fates(fate, fate, fate)
        yield f"{step.name}, three times: worker dies", step.with_fates(*(Fate(crash=each) for each in CRASHES[1:]))


def acting() -> Iterator[tuple[str, Plan]]:
    """Every act at every moment."""
    for step in STEPS:
        for moment in step.moments:
            for act in Act:
                yield f"{step.name}: {act} at {moment.where} {moment.n}", step.with_act(moment, act)


def writing() -> Iterator[tuple[str, Plan]]:
    """Every ledger write failing, and repeated."""
    for n in range(3):
        lost = Plan(adjust=Fate(NEVER, Answer.LOST), lost_writes=frozenset({n}))
        yield f"record: write {n} fails", lost
        yield f"record: write {n} is repeated", replace(lost, lost_writes=frozenset(), repeated_writes=frozenset({n}))
    yield (
        "record: the ledger is away throughout",
        Plan(adjust=Fate(NEVER, Answer.LOST), lost_writes=frozenset(range(6))),
    )


FORETOLD = {**dict(crashing()), **dict(rounds()), **dict(failing())}
PLANS = {**FORETOLD, **dict(acting()), **dict(writing())}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lives(small_world: World) -> dict[str, Life]:
    """Let all of them live."""
    # Those first that have real time to wait for the loss of their workers.
    names = sorted(PLANS, key=lambda name: "worker dies" not in name)
    lived = await small_world.live([PLANS[name] for name in names], "step")
    return dict(zip(names, lived, strict=True))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def found(small_world: World, lives: dict[str, Life]) -> list[Violation]:
    """Judge all of them."""
    return await small_world.judge(list(lives.values()))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def every(small_world: World, lives: dict[str, Life]) -> dict[str, Evidence]:
    """Return all evidence by the name of its plan."""
    evidence = await small_world.evidence(list(lives.values()))
    return {name: evidence[life.number] for name, life in lives.items()}


@pytest.mark.parametrize("name", PLANS)
def test_the_invariant_holds(name: str, lives: dict[str, Life], found: list[Violation]) -> None:
    assert [each for each in found if each.number == lives[name].number] == []
    assert set(lives[name].acted) == {when for when, _ in PLANS[name].actions}, "a moment never came"


@pytest.mark.parametrize("name", [name for name, plan in FORETOLD.items() if not plan.actions])
def test_it_ends_where_the_model_of_the_interleavings_says(name: str, every: dict[str, Evidence]) -> None:
    """So what was counted there holds for the workflow itself."""
    plan = PLANS[name]
    model = Exploration(bounds=Bounds(attempts=POLICY.cancel_max_attempts), refuses=plan.refuses)
    foretold = model.walk(plan)
    evidence = every[name]
    story, books = evidence.story, model.books(foretold)
    assert (story.state, story.cancel_result) == (foretold.state, foretold.result)
    assert [change.state for change in story.state_changes] == list(foretold.path[1:])
    assert (evidence.books.state, evidence.books.burnt) == (books.state, books.burnt)
    assert len(story.calls) == 1 + sum(records for _, records in foretold.audited)
    model.close()


@pytest.mark.parametrize("name", dict(rounds()))
def test_no_compensation_fails_unseen(name: str, every: dict[str, Evidence]) -> None:
    evidence = every[name]
    assert evidence.story.state is State.ABORTED
    assert evidence.listed == {State.ABORTED}


async def test_the_money_adds_up(small_world: World, lives: dict[str, Life]) -> None:
    assert lives
    assert await small_world.judge_sum() == []


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


async def test_every_command_of_the_table_was_lived_through_and_no_other(lives: dict[str, Life]) -> None:
    lived = set[str]()
    for life in lives.values():
        assert life.handle is not None
        lived |= await commands(await life.handle.fetch_history())
    assert lived == {step.command for step in STEPS} - {None}
