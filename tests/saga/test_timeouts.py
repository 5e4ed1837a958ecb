"""Timeouts and retry policies as they reach Temporal. Replay does not notice when they change; this does."""

from google.protobuf.duration_pb2 import Duration
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes

from activities import limits
from tests.saga.conftest import StartSaga
from tests.support.orders import QUICK_POLICY
from tests.support.sagas import Saga
from tests.support.scripted import NOT_APPLIED, REVERSED, UNKNOWN, ScriptedExternalSystem


async def scheduled(saga: Saga) -> dict[str, ActivityTaskScheduledEventAttributes]:
    history = await saga.handle.fetch_history()
    attributes = [event.activity_task_scheduled_event_attributes for event in history.events]
    return {each.activity_type.name: each for each in attributes if each.activity_type.name}


def seconds(duration: Duration) -> float:
    return duration.ToTimedelta().total_seconds()


async def test_every_activity_has_its_limits(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[NOT_APPLIED, REVERSED])
    async with saga(external) as started:
        await started.result()
        activities = await scheduled(started)
    adjust, cancel, record = (activities[name] for name in ("adjust", "cancel_adjust", "record_settlement"))

    assert adjust.retry_policy.maximum_attempts == 1
    assert seconds(adjust.start_to_close_timeout) == 6
    assert seconds(adjust.schedule_to_start_timeout) == QUICK_POLICY.expire_after_s

    assert cancel.retry_policy.maximum_attempts == QUICK_POLICY.cancel_max_attempts
    assert seconds(cancel.retry_policy.initial_interval) == QUICK_POLICY.cancel_initial_interval_s
    assert seconds(cancel.retry_policy.maximum_interval) == QUICK_POLICY.cancel_max_interval_s
    assert cancel.retry_policy.backoff_coefficient == 2
    assert seconds(cancel.start_to_close_timeout) == 6
    assert (adjust.task_queue.name, cancel.task_queue.name) == ("order-settlement", "order-settlement-cancels")

    assert record.retry_policy.maximum_attempts == 0
    assert record.task_queue.name == "order-settlement-ledger"


async def test_no_timeout_can_close_a_settlement(saga: StartSaga) -> None:
    async with saga(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED])) as started:
        await started.result()
        first = (await started.handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    ten_years_s = 10 * 365 * 24 * 3600
    # This server writes its own far-away default where none is given.
    timeout_s = seconds(first.workflow_execution_timeout)
    assert timeout_s == 0 or timeout_s >= ten_years_s


def test_an_adjust_always_fits_inside_its_backstop() -> None:
    inside = limits.PICKUP_DELAY_MAX_S + limits.CONNECT_DEADLINE_S + limits.ADJUST_DEADLINE_S
    assert limits.ADJUST_DEADLINE_S == 3
    assert inside < limits.ADJUST_START_TO_CLOSE.total_seconds()
