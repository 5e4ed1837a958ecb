"""The schedule: created once by any worker, kept up to date, and each round continues the previous one."""

import asyncio
import copy
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from temporalio.client import Client, ScheduleDescription, ScheduleOverlapPolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.temporal_calls import TemporalCallError
from settlement import limits
from settlement.ids import RECONCILIATION_SCHEDULE
from tests.support.dev_server import dev_server
from tests.support.polling import until
from tests.support.rounds import Parts, looking_at, part
from workflows.reconciliation.schedule import ensure_schedule

SELDOM_S = 3600
OFTEN_S = 1


@pytest_asyncio.fixture
async def temporal() -> AsyncIterator[Client]:
    async with dev_server() as client:
        yield client


async def described(temporal: Client) -> ScheduleDescription:
    return await temporal.get_schedule_handle(RECONCILIATION_SCHEDULE).describe()


async def trigger(temporal: Client) -> None:
    await temporal.get_schedule_handle(RECONCILIATION_SCHEDULE).trigger(overlap=ScheduleOverlapPolicy.BUFFER_ONE)


async def wait_for_rounds(parts: Parts, count: int) -> None:
    """Wait until this many rounds are recorded."""

    async def probe() -> bool:
        return len(parts.ends) >= count

    await until(probe, what=f"{count} rounds")


async def test_of_concurrent_workers_one_creates_the_schedule_and_all_start(temporal: Client) -> None:
    await asyncio.gather(*(ensure_schedule(temporal, SELDOM_S) for _ in range(8)))
    schedule = (await described(temporal)).schedule
    assert [each.every for each in schedule.spec.intervals] == [timedelta(seconds=SELDOM_S)]
    assert schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert schedule.policy.catchup_window == timedelta(minutes=1)
    assert not schedule.policy.pause_on_failure


async def test_ensuring_it_again_changes_nothing(temporal: Client) -> None:
    """A worker that starts must not delay the next round."""
    await ensure_schedule(temporal, SELDOM_S)
    before = copy.deepcopy((await described(temporal)).info)
    await ensure_schedule(temporal, SELDOM_S)
    assert (await described(temporal)).info.last_updated_at == before.last_updated_at


async def test_another_interval_replaces_the_old_one_and_a_pause_stays(temporal: Client) -> None:
    await ensure_schedule(temporal, SELDOM_S)
    await temporal.get_schedule_handle(RECONCILIATION_SCHEDULE).pause(note="we are moving")
    await ensure_schedule(temporal, 60)
    schedule = (await described(temporal)).schedule
    assert [each.every for each in schedule.spec.intervals] == [timedelta(seconds=60)]
    assert (schedule.state.paused, schedule.state.note) == (True, "we are moving")


class Refusing:
    """A server that permits nobody to create schedules."""

    def __init__(self, status: RPCStatusCode) -> None:
        self._status = status

    async def create_schedule(self, *_: Any) -> None:  # noqa: ANN401 - stands in for the client
        """Refuse."""
        raise RPCError("no", self._status, b"")


@pytest.mark.parametrize("status", [RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED])
async def test_without_permission_the_worker_logs_it_and_continues(status: RPCStatusCode) -> None:
    with capture_logs() as logs:
        await ensure_schedule(Refusing(status), 60)  # type: ignore[arg-type] # a double of the client
    assert [each["log_level"] for each in logs] == ["warning"]


async def test_an_unavailable_server_is_an_error() -> None:
    with pytest.raises(TemporalCallError):
        await ensure_schedule(Refusing(RPCStatusCode.UNAVAILABLE), 60)  # type: ignore[arg-type] # a double of the client


async def test_the_schedule_runs_rounds(temporal: Client) -> None:
    parts = Parts()
    async with looking_at(temporal, parts):
        await ensure_schedule(temporal, OFTEN_S)
        await wait_for_rounds(parts, 2)
    assert len({end.ended.round_id for end in parts.ends}) == len(parts.ends)


async def test_a_round_continues_where_a_limit_ended_the_previous_one(temporal: Client) -> None:
    parts = Parts(
        temporal=(part(limits.RECONCILE_LISTED_MAX, "t9"), part(1)),
        ledger=(part(limits.RECONCILE_CHECKED_MAX, "l9"), part(1)),
    )
    await ensure_schedule(temporal, SELDOM_S)
    async with looking_at(temporal, parts):
        for count in (1, 2, 3):
            await trigger(temporal)
            await wait_for_rounds(parts, count)
    assert parts.asked_after("ledger") == [None, "l9", None]
    assert parts.asked_after("temporal") == [None, "t9", None]
    assert [end.ended.complete for end in parts.ends] == [False, False, True]
    first, second, third = parts.ends
    assert first.listed_to is None
    assert second.listed_to == first.ended.started_at, "what was closed since that pass began is for the next one"
    assert third.listed_to == third.ended.started_at


async def test_a_round_after_a_failed_one_continues_from_the_last_successful_one(temporal: Client) -> None:
    parts = Parts(ledger=(part(limits.RECONCILE_CHECKED_MAX, "l9"), part(1)))
    await ensure_schedule(temporal, SELDOM_S)
    async with looking_at(temporal, parts):
        await trigger(temporal)
        await wait_for_rounds(parts, 1)
        parts.ledger_is_away = True
        await trigger(temporal)

        async def failed() -> bool:
            query = "WorkflowType = 'Reconciliation' AND ExecutionStatus = 'Failed'"
            return bool([each async for each in temporal.list_workflows(query)])

        await until(failed, what="a round that failed")
        parts.ledger_is_away = False
        await trigger(temporal)
        await wait_for_rounds(parts, 2)
    assert parts.asked_after("ledger") == [None, "l9", "l9"]


async def test_a_round_without_a_worker_times_out(temporal: Client) -> None:
    """A round that hangs must not block the following ones."""
    await ensure_schedule(temporal, SELDOM_S)
    await trigger(temporal)

    async def begun() -> timedelta | None:
        running = [each async for each in temporal.list_workflows("WorkflowType = 'Reconciliation'")]
        if not running:
            return None
        description = await temporal.get_workflow_handle(running[0].id).describe()
        return description.raw_description.execution_config.workflow_execution_timeout.ToTimedelta()

    assert await until(begun, what="a round") == limits.RECONCILE_ROUND_MAX
