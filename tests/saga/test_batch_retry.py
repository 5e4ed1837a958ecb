"""A batch retries its settlements at its rate, under its operator's name, until it is done or stopped."""

import itertools
from datetime import timedelta

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from settlement.batch_retry import BatchProgress, BatchState, ItemOutcome
from settlement.ids import batch_update_id, workflow_id
from settlement.states import State
from tests.support.batches import ONE_IN_TEN_SECONDS, Bench, has_pending
from tests.support.orders import id_of
from tests.support.polling import until
from workflows.batch_retry.workflow import BatchRetry

RETRIED, PENDING = ItemOutcome.RETRIED, ItemOutcome.PENDING


async def update_ids(client: Client, number: str) -> list[str]:
    """Return the ids of the Updates that a settlement has accepted."""
    history = await client.get_workflow_handle(workflow_id(id_of(number))).fetch_history()
    taken = [event.workflow_execution_update_accepted_event_attributes for event in history.events]
    return [each.protocol_instance_id for each in taken if each.protocol_instance_id]


async def test_a_batch_retries_every_settlement_once_under_its_operators_name(
    bench: Bench, environment: WorkflowEnvironment
) -> None:
    numbers = await bench.abort(5, await environment.get_current_time())
    bench.external.away = False
    batch = await bench.begin(5)
    progress = await (await bench.run(batch)).result()
    assert progress == BatchProgress(state=BatchState.DONE, retried=5)
    await bench.reversed_once(numbers)
    for number in numbers:
        assert await bench.actions(number) == [("ops-1", "BROKER_RECOVERED", "broker is back", batch)]
        assert await update_ids(environment.client, number) == [batch_update_id(batch, number)]
    found = await bench.batches.find(batch)
    assert found is not None
    assert (found.state, found.states) == (BatchState.DONE, {State.CANCELLED: 5})
    assert found.ended_at is not None
    assert [item.request_unique_no for item in await bench.report(batch)] == numbers


async def test_a_batch_does_not_exceed_its_rate(bench: Bench, environment: WorkflowEnvironment) -> None:
    numbers = await bench.abort(4, await environment.get_current_time())
    bench.external.away = False
    handle = await bench.run(await bench.begin(4, ONE_IN_TEN_SECONDS))
    await has_pending(handle, 3)
    assert await handle.query(BatchRetry.progress) == BatchProgress(retried=1, pending=3)
    await environment.sleep(timedelta(seconds=9))
    await has_pending(handle, 3)
    await handle.result()
    acts = [(await bench.wait_for_state(number, State.CANCELLED)).snapshot.actions[0].at for number in numbers]
    # An action is dated when it arrives, so a busy machine can shorten one interval by the delay of the action before.
    for earlier, later in itertools.pairwise(acts):
        assert later - earlier >= timedelta(seconds=5)
    assert acts[-1] - acts[0] >= timedelta(seconds=25)


async def test_a_stop_ends_the_batch_and_leaves_pending_settlements_unchanged(
    bench: Bench, environment: WorkflowEnvironment
) -> None:
    numbers = await bench.abort(3, await environment.get_current_time())
    bench.external.away = False
    batch = await bench.begin(3, ONE_IN_TEN_SECONDS)
    handle = await bench.run(batch)
    await has_pending(handle, 2)
    for _ in range(2):
        assert (await handle.execute_update(BatchRetry.stop)).pending == 2
    assert await handle.result() == BatchProgress(state=BatchState.STOPPED, retried=1, pending=2)
    events = (await handle.fetch_history()).events
    assert [event for event in events if event.HasField("timer_started_event_attributes")]
    assert not [event for event in events if event.HasField("timer_fired_event_attributes")]
    assert await bench.outcomes(batch) == [RETRIED, PENDING, PENDING]
    await bench.reversed_once(numbers[:1])
    for number in numbers[1:]:
        await bench.wait_for_state(number, State.ABORTED)
        assert await bench.actions(number) == []


async def test_a_batch_stopped_in_the_ledger_retries_nothing_more(
    bench: Bench, environment: WorkflowEnvironment
) -> None:
    """So a stop by the API needs neither a worker nor Temporal."""
    await bench.abort(3, await environment.get_current_time())
    batch = await bench.begin(3, ONE_IN_TEN_SECONDS)
    handle = await bench.run(batch)
    await has_pending(handle, 2)
    await bench.batches.end(batch, BatchState.STOPPED, await environment.get_current_time())
    assert await handle.result() == BatchProgress(state=BatchState.STOPPED, retried=1, pending=2)
    assert await bench.outcomes(batch) == [RETRIED, PENDING, PENDING]


async def test_a_workflow_cancellation_stops_the_batch(bench: Bench, environment: WorkflowEnvironment) -> None:
    await bench.abort(2, await environment.get_current_time())
    batch = await bench.begin(2, ONE_IN_TEN_SECONDS)
    handle = await bench.run(batch)
    await has_pending(handle, 1)
    await handle.cancel()
    assert await handle.result() == BatchProgress(state=BatchState.STOPPED, retried=1, pending=1)


async def test_a_stop_after_the_last_retry_leaves_the_batch_done(
    bench: Bench, environment: WorkflowEnvironment
) -> None:
    await bench.abort(1, await environment.get_current_time())
    bench.batches.down = True
    handle = await bench.run(await bench.begin(1))

    async def retried() -> bool:
        return bench.batches.refused > 0

    await until(retried)
    await handle.execute_update(BatchRetry.stop)
    bench.batches.down = False
    assert await handle.result() == BatchProgress(state=BatchState.DONE, retried=1)
