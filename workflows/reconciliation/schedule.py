"""The Temporal Schedule that runs reconciliation: made by whichever worker comes first."""

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
"""After an outage of Temporal one round is enough: each looks at everything."""


async def ensure_schedule(client: Client, every_s: int) -> None:
    """Have a round of reconciliation run at an interval; where the server does not let us, say so and go on.

    Repeating it changes nothing; another interval replaces the one there was. Of several workers at once one makes
    it and the others find it. One that an operator has paused stays paused. Raises TemporalCallError where the server
    does not answer.
    """
    schedule = _schedule(every_s)
    try:
        async with calling_temporal():
            await _make(client, schedule)
    except TemporalRefusedError as refused:
        log.warning("no schedule for reconciliation: an administrator must make it", error=str(refused))
    else:
        log.info("reconciliation scheduled", every_s=every_s)


async def _make(client: Client, schedule: Schedule) -> None:
    try:
        await client.create_schedule(RECONCILIATION_SCHEDULE, schedule)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(RECONCILIATION_SCHEDULE).update(lambda there: _updated(there, schedule))


def _schedule(every_s: int) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            Reconciliation.run,
            id=RECONCILIATION_SCHEDULE,
            task_queue=RECONCILIATION_TASK_QUEUE,
            execution_timeout=RECONCILE_ROUND_MAX,
            static_summary="ledger and Temporal held against each other",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=every_s))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCHUP_WINDOW),
    )


def _updated(there: ScheduleUpdateInput, wanted: Schedule) -> ScheduleUpdate | None:
    """Return what changes the schedule, None if it is as wanted: every change would begin its intervals anew."""
    is_now = there.description.schedule
    same_action = isinstance(is_now.action, ScheduleActionStartWorkflow) and _told(is_now.action) == _told(
        wanted.action
    )
    if same_action and is_now.spec.intervals == wanted.spec.intervals and is_now.policy == wanted.policy:
        return None
    wanted.state = is_now.state
    return ScheduleUpdate(wanted)


def _told(action: object) -> tuple[object, ...]:
    assert isinstance(action, ScheduleActionStartWorkflow)  # noqa: S101 - the only kind there is
    return action.workflow, action.id, action.task_queue, action.execution_timeout
