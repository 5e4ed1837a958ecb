"""The step table: every command and wait of the saga, and the plan that leads to it.

The test cases are generated from it. A test compares the table with the histories and the code of the workflow, so a
missing step is detected.
"""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

import workflows
from settlement.ids import CancelKind
from settlement.policy import ConfirmMode
from settlement.tasks import CancelTask
from tests.simulation.call_scripts import AT_ONCE, LOST, NEVER, Answer, CallScript
from tests.simulation.plan import POLICY, Action, Plan, Trigger, TriggerPoint
from workflows.runtime import DATA_CONVERTER

FAILS = CallScript(AT_ONCE, Answer.WRONG_CODE)
NOT_CONFIGURED = CallScript(NEVER, Answer.NOT_CONFIGURED)
ROUND = (FAILS, FAILS, FAILS)
"""A cancel that uses up all its attempts."""


HONEST_PLAN = Plan()
IN_PROCESS = CallScript(AT_ONCE, Answer.IN_PROCESS)
SPARSE = POLICY.model_copy(update={"cancel_sparse_attempts": 3, "cancel_in_process_max": 2})


class WaitSite(NamedTuple):
    """A place where the workflow's code waits: module, function, call."""

    module: str
    function: str
    call: str


@dataclass(frozen=True)
class Step:
    """One step of the saga."""

    name: str
    site: WaitSite
    command: str | None = None
    """Its name in Temporal's history; None for a wait without a command."""
    plan: Plan = HONEST_PLAN
    """The plan that leads to the step."""
    attempt: int | None = None
    """For an external call, its first attempt."""
    triggers: tuple[Trigger, ...] = ()
    """Triggers during the step."""

    def with_scripts(self, *scripts: CallScript) -> Plan:
        """Return the plan that leads here, with these scripts for its attempts."""
        assert self.attempt is not None
        if self.attempt == 0:
            return replace(self.plan, adjust=scripts[0], cancels=scripts[1:])
        return replace(self.plan, cancels=(*self.plan.cancels[: self.attempt - 1], *scripts))

    def with_action(self, trigger: Trigger, action: Action) -> Plan:
        """Return the plan that leads here, with an action at one of its triggers."""
        return replace(self.plan, actions=(*self.plan.actions, (trigger, action)))


UNKNOWN = Plan(adjust=LOST)
ABORTED = Plan(adjust=LOST, cancels=ROUND)
CONTRADICTORY = Plan(
    adjust=CallScript(AT_ONCE, Answer.LOST),
    cancels=(CallScript(), CallScript(AT_ONCE, Answer.NOT_FOUND)),
    policy=POLICY.model_copy(update={"confirm": ConfirmMode.ALWAYS}),
)
"""The first cancel is answered REVERSED, the confirming one once NOT_APPLIED."""
SAGA, JOURNAL = "order_settlement", "journal"
ADJUST = "adjust"
ROUNDS = "cancel_rounds"
CANCEL = WaitSite(ROUNDS, "_cancel_round", "execute_activity_method")

STEPS = (
    Step("start", WaitSite(SAGA, "run", "shield"), triggers=(Trigger(TriggerPoint.START),)),
    Step(
        "adjust",
        WaitSite(ADJUST, "send_adjust", "execute_activity_method"),
        command="adjust",
        attempt=0,
        triggers=(Trigger(TriggerPoint.CALL, 0),),
    ),
    Step(
        "cancel adjust, first",
        CANCEL,
        command=f"cancel_adjust {CancelKind.FIRST}",
        plan=UNKNOWN,
        attempt=1,
        triggers=(Trigger(TriggerPoint.CALL, 1),),
    ),
    Step(
        "external system cannot be called",
        WaitSite(ROUNDS, "_wait_for_system", "sleep"),
        command="timer: until the external system can be called",
        plan=Plan(adjust=LOST, cancels=(NOT_CONFIGURED, FAILS, NOT_CONFIGURED)),
        triggers=(Trigger(TriggerPoint.CALL, 1), Trigger(TriggerPoint.CALL, 3)),
    ),
    Step(
        "cancel adjust, sparse",
        CANCEL,
        command=f"cancel_adjust {CancelKind.FIRST}",
        plan=Plan(adjust=LOST, cancels=ROUND, policy=SPARSE),
        attempt=4,
        triggers=(Trigger(TriggerPoint.CALL, 4),),
    ),
    Step(
        "wait for the sparse band",
        WaitSite(ROUNDS, "_wait_for_sparse_band", "sleep"),
        command="timer: until the sparse band of cancel attempts",
        plan=Plan(adjust=LOST, cancels=ROUND, policy=SPARSE),
        triggers=(Trigger(TriggerPoint.WRITE, 1),),
    ),
    Step(
        "in process",
        WaitSite(ROUNDS, "_wait_in_process", "sleep"),
        command="timer: until a cancel in process is asked for again",
        plan=Plan(adjust=LOST, cancels=(IN_PROCESS, FAILS, IN_PROCESS)),
        triggers=(Trigger(TriggerPoint.CALL, 1), Trigger(TriggerPoint.CALL, 3)),
    ),
    Step(
        "quarantine",
        WaitSite(SAGA, "_confirm", "sleep"),
        command="timer: quarantine before a second look",
        plan=UNKNOWN,
        triggers=(Trigger(TriggerPoint.WRITE, 1),),
    ),
    Step(
        "cancel adjust, confirming",
        CANCEL,
        command=f"cancel_adjust {CancelKind.CONFIRMING}",
        plan=UNKNOWN,
        attempt=2,
        triggers=(Trigger(TriggerPoint.CALL, 2),),
    ),
    Step(
        "operator",
        WaitSite(SAGA, "_wait_for_operator", "wait_condition"),
        plan=ABORTED,
        triggers=(Trigger(TriggerPoint.ABORT, 0),),
    ),
    Step(
        "cancel adjust, retried",
        CANCEL,
        command=f"cancel_adjust {CancelKind.FIRST}",
        plan=replace(ABORTED, actions=((Trigger(TriggerPoint.ABORT, 0), Action.RETRY),)),
        attempt=4,
        triggers=(Trigger(TriggerPoint.CALL, 4),),
    ),
    Step(
        "in flight after a take-up",
        WaitSite(SAGA, "_take_up", "sleep"),
        command="timer: until an adjust in flight has ended",
        plan=Plan(taken_up=True),
        triggers=(Trigger(TriggerPoint.WRITE, 0),),
    ),
    Step(
        "record",
        WaitSite(JOURNAL, "_write_at_once", "execute_local_activity_method"),
        command="local: record_at_once",
        triggers=(Trigger(TriggerPoint.WRITE, 0),),
    ),
    Step(
        "record durably",
        WaitSite(JOURNAL, "_write_durably", "execute_activity_method"),
        command="record_settlement",
        plan=Plan(lost_writes=frozenset({0})),
        triggers=(Trigger(TriggerPoint.WRITE, 1),),
    ),
    Step("news for the ledger", WaitSite(JOURNAL, "_follow", "wait_condition")),
    Step(
        "last write",
        WaitSite(JOURNAL, "close", "wait_condition"),
        plan=Plan(lost_writes=frozenset({0})),
        triggers=(Trigger(TriggerPoint.WRITE, 1),),
    ),
    Step("handlers", WaitSite(SAGA, "_settle", "wait_condition")),
    Step("decision", WaitSite(SAGA, "decision", "wait_condition")),
    Step("stop", WaitSite(SAGA, "_on_workflow_cancellation", "wait_condition")),
)

CALLS = tuple(step for step in STEPS if step.attempt is not None)
COMPENSATIONS = tuple(step for step in CALLS if step.attempt)


def sites() -> set[WaitSite]:
    """Return every place where the code of the saga waits."""
    folder = Path(workflows.__file__).parent
    saga = [path for path in folder.glob("*.py") if path.stem != "start"]
    return {site for path in saga for site in _sites_of(path.stem, ast.parse(path.read_text()))}


def _sites_of(module: str, tree: ast.AST) -> Iterator[WaitSite]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        for call in ast.walk(function):
            awaited = call.value if isinstance(call, ast.Await) else None
            if isinstance(awaited, ast.Call) and isinstance(awaited.func, ast.Attribute):
                owner = awaited.func.value
                if isinstance(owner, ast.Name) and owner.id in {"workflow", "asyncio"}:
                    yield WaitSite(module, function.name, awaited.func.attr)


async def commands(history: WorkflowHistory) -> set[str]:
    """Return the activities, local activities and timers of a history, by their names in the step table."""
    return {name for event in history.events if (name := await _command(event)) is not None}


async def _command(event: HistoryEvent) -> str | None:
    if event.HasField("timer_started_event_attributes"):
        (summary,) = await DATA_CONVERTER.decode([event.user_metadata.summary], [str])
        return f"timer: {summary}"
    if event.HasField("marker_recorded_event_attributes"):
        local = json.loads(event.marker_recorded_event_attributes.details["data"].payloads[0].data)
        return f"local: {local['activity_type']}"
    if event.HasField("activity_task_scheduled_event_attributes"):
        attributes = event.activity_task_scheduled_event_attributes
        if attributes.activity_type.name != "cancel_adjust":
            return attributes.activity_type.name
        (task,) = await DATA_CONVERTER.decode(list(attributes.input.payloads), [CancelTask])
        return f"cancel_adjust {task.intent.kind}"
    return None
