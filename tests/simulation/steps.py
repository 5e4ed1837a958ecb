"""The step table: everything that the saga does or waits for, and how each is reached.

The harnesses are generated from it. A test holds it against the histories and the code of the workflow, so
that a new step cannot be forgotten.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

import workflows
from settlement.ids import CancelKind
from settlement.tasks import CancelTask
from tests.simulation.call_outcomes import AT_ONCE, LOST, Answer, Fate
from tests.simulation.plan import Act, Moment, Plan, Where
from workflows.runtime import DATA_CONVERTER

FAILS = Fate(AT_ONCE, Answer.WRONG_CODE)
ROUND = (FAILS, FAILS, FAILS)
"""A cancel that uses up all its attempts."""


HONEST_PLAN = Plan()


class Site(NamedTuple):
    """Where the workflow's code waits: module, function, what for."""

    module: str
    function: str
    call: str


@dataclass(frozen=True)
class Step:
    """One step of the saga."""

    name: str
    site: Site
    command: str | None = None
    """How Temporal's history names it; None: it waits, and nothing is scheduled."""
    plan: Plan = HONEST_PLAN
    """What leads to it."""
    attempt: int | None = None
    """For an external call, the attempt with which it begins."""
    moments: tuple[Moment, ...] = ()
    """When it is under way."""

    def with_fates(self, *fates: Fate) -> Plan:
        """Return the plan that leads here and then lets these befall its attempts."""
        assert self.attempt is not None
        if self.attempt == 0:
            return replace(self.plan, adjust=fates[0], cancels=fates[1:])
        return replace(self.plan, cancels=(*self.plan.cancels[: self.attempt - 1], *fates))

    def with_act(self, moment: Moment, act: Act) -> Plan:
        """Return the plan that leads here and has something done at one of its moments."""
        return replace(self.plan, actions=(*self.plan.actions, (moment, act)))


UNKNOWN = Plan(adjust=LOST)
ABORTED = Plan(adjust=LOST, cancels=ROUND)
SAGA, JOURNAL = "order_settlement", "journal"
CANCEL = Site(SAGA, "_cancel_round", "execute_activity_method")

STEPS = (
    Step("start", Site(SAGA, "run", "shield"), moments=(Moment(Where.START),)),
    Step(
        "adjust",
        Site(SAGA, "_adjust", "execute_activity_method"),
        command="adjust",
        attempt=0,
        moments=(Moment(Where.CALL, 0),),
    ),
    Step(
        "cancel adjust, first",
        CANCEL,
        command=f"cancel_adjust {CancelKind.FIRST}",
        plan=UNKNOWN,
        attempt=1,
        moments=(Moment(Where.CALL, 1),),
    ),
    Step(
        "quarantine",
        Site(SAGA, "_compensate", "sleep"),
        command="timer: quarantine before a second look",
        plan=UNKNOWN,
        moments=(Moment(Where.WRITE, 1),),
    ),
    Step(
        "cancel adjust, confirming",
        CANCEL,
        command=f"cancel_adjust {CancelKind.CONFIRMING}",
        plan=UNKNOWN,
        attempt=2,
        moments=(Moment(Where.CALL, 2),),
    ),
    Step(
        "operator",
        Site(SAGA, "_wait_for_operator", "wait_condition"),
        plan=ABORTED,
        moments=(Moment(Where.ABORT, 0),),
    ),
    Step(
        "cancel adjust, retried",
        CANCEL,
        command=f"cancel_adjust {CancelKind.FIRST}",
        plan=replace(ABORTED, actions=((Moment(Where.ABORT, 0), Act.RETRY),)),
        attempt=4,
        moments=(Moment(Where.CALL, 4),),
    ),
    Step(
        "in flight after a take-up",
        Site(SAGA, "_take_up", "sleep"),
        command="timer: until an adjust in flight has ended",
        plan=Plan(taken_up=True),
        moments=(Moment(Where.WRITE, 0),),
    ),
    Step(
        "record",
        Site(JOURNAL, "_write", "execute_activity_method"),
        command="record_settlement",
        moments=(Moment(Where.WRITE, 0),),
    ),
    Step("news for the ledger", Site(JOURNAL, "_follow", "wait_condition")),
    Step(
        "last write",
        Site(JOURNAL, "close", "wait_condition"),
        plan=Plan(lost_writes=frozenset({0})),
        moments=(Moment(Where.WRITE, 1),),
    ),
    Step("handlers", Site(SAGA, "_settle", "wait_condition")),
    Step("decision", Site(SAGA, "decision", "wait_condition")),
)

CALLS = tuple(step for step in STEPS if step.attempt is not None)
COMPENSATIONS = tuple(step for step in CALLS if step.attempt)


def sites() -> set[Site]:
    """Read every place where the saga waits from its code: the workflow's module and all that it is made of."""
    folder = Path(workflows.__file__).parent
    saga = [path for path in folder.glob("*.py") if path.stem != "start"]
    return {site for path in saga for site in _sites_of(path.stem, ast.parse(path.read_text()))}


def _sites_of(module: str, tree: ast.AST) -> Iterator[Site]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        for call in ast.walk(function):
            awaited = call.value if isinstance(call, ast.Await) else None
            if isinstance(awaited, ast.Call) and isinstance(awaited.func, ast.Attribute):
                owner = awaited.func.value
                if isinstance(owner, ast.Name) and owner.id in {"workflow", "asyncio"}:
                    yield Site(module, function.name, awaited.func.attr)


async def commands(history: WorkflowHistory) -> set[str]:
    """Return every activity and timer that a history has, by the names of the step table."""
    return {name for event in history.events if (name := await _command(event)) is not None}


async def _command(event: HistoryEvent) -> str | None:
    if event.HasField("timer_started_event_attributes"):
        (summary,) = await DATA_CONVERTER.decode([event.user_metadata.summary], [str])
        return f"timer: {summary}"
    if event.HasField("activity_task_scheduled_event_attributes"):
        attributes = event.activity_task_scheduled_event_attributes
        if attributes.activity_type.name != "cancel_adjust":
            return attributes.activity_type.name
        (task,) = await DATA_CONVERTER.decode(list(attributes.input.payloads), [CancelTask])
        return f"cancel_adjust {task.intent.kind}"
    return None
