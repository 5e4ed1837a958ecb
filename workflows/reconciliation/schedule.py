"""The Temporal Schedule that runs reconciliation. Every worker ensures at its start that it exists."""

from datetime import timedelta

import structlog
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from activities.temporal_calls import TemporalRefusedError, calling_temporal
from settlement.ids import RECONCILIATION_SCHEDULE
from settlement.limits import RECONCILE_ROUND_MAX
from workflows.reconciliation.workflow import Reconciliation
from workflows.runtime import RECONCILIATION_TASK_QUEUE

log = structlog.get_logger()

CATCHUP_WINDOW = timedelta(minutes=1)
"""Rounds that were missed longer ago are skipped. After an outage one round is enough: each examines everything."""


async def ensure_schedule(client: Client, every_s: int) -> None:
    """Create the schedule that runs a round every `every_s` seconds, or update it if it differs.

    Repeating it changes nothing. Of several concurrent workers, one creates it. A paused schedule stays paused. If the
    server does not permit schedules, this is logged and the worker continues. Raises TemporalCallError if the server
    does not answer.
    """
    schedule = _schedule(every_s)
    try:
        async with calling_temporal():
            await _make(client, schedule)
    except TemporalRefusedError as refused:
        log.warning("cannot create the reconciliation schedule; an administrator must create it", error=str(refused))
    else:
        log.info("reconciliation scheduled", every_s=every_s)


async def _make(client: Client, schedule: Schedule) -> None:
    try:
        await client.create_schedule(RECONCILIATION_SCHEDULE, schedule)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(RECONCILIATION_SCHEDULE).update(lambda found: _updated(found, schedule))


def _schedule(every_s: int) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            Reconciliation.run,
            id=RECONCILIATION_SCHEDULE,
            task_queue=RECONCILIATION_TASK_QUEUE,
            execution_timeout=RECONCILE_ROUND_MAX,
            static_summary="compare ledger and Temporal",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=every_s))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCHUP_WINDOW),
    )


def _updated(found: ScheduleUpdateInput, wanted: Schedule) -> ScheduleUpdate | None:
    """Return the update of the schedule, or None if it is already as wanted: any update would restart its interval."""
    current = found.description.schedule
    same_action = isinstance(current.action, ScheduleActionStartWorkflow) and _action_fields(
        current.action
    ) == _action_fields(wanted.action)
    if same_action and current.spec.intervals == wanted.spec.intervals and current.policy == wanted.policy:
        return None
    wanted.state = current.state
    return ScheduleUpdate(wanted)


def _action_fields(action: object) -> tuple[object, ...]:
    assert isinstance(action, ScheduleActionStartWorkflow)  # noqa: S101 - the only kind there is
    return action.workflow, action.id, action.task_queue, action.execution_timeout
