"""A batch retries its settlements at its rate, under its operator's name, until it is done or stopped."""

import itertools
from datetime import timedelta

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from settlement.batch_retry import BatchProgress, BatchState, ItemOutcome
from settlement.ids import batch_update_id, workflow_id
from settlement.states import State
from tests.support.batches import ONE_IN_TEN_SECONDS, Bench, has_pending
from tests.support.polling import until
from workflows.batch_retry.workflow import BatchRetry

RETRIED, PENDING = ItemOutcome.RETRIED, ItemOutcome.PENDING


async def update_ids(client: Client, number: str) -> list[str]:
    """Return the ids of the Updates that a settlement has taken."""
    history = await client.get_workflow_handle(workflow_id(number)).fetch_history()
    taken = [event.workflow_execution_update_accepted_event_attributes for event in history.events]
    return [each.protocol_instance_id for each in taken if each.protocol_instance_id]


async def test_a_batch_retries_every_settlement_once_under_its_operators_name(
    at_work: Bench, environment: WorkflowEnvironment
) -> None:
    numbers = await at_work.abort(5, await environment.get_current_time())
    at_work.external.away = False
    batch = await at_work.begin(5)
    progress = await (await at_work.run(batch)).result()
    assert progress == BatchProgress(state=BatchState.DONE, retried=5)
    await at_work.reversed_once(numbers)
    for number in numbers:
        assert await at_work.actions(number) == [("ops-1", "BROKER_RECOVERED", "broker is back", batch)]
        assert await update_ids(environment.client, number) == [batch_update_id(batch, number)]
    found = await at_work.batches.find(batch)
    assert found is not None
    assert (found.state, found.states) == (BatchState.DONE, {State.CANCELLED: 5})
    assert found.ended_at is not None
    assert [item.request_unique_no for item in await at_work.report(batch)] == numbers


async def test_a_batch_keeps_to_its_rate(at_work: Bench, environment: WorkflowEnvironment) -> None:
    numbers = await at_work.abort(4, await environment.get_current_time())
    at_work.external.away = False
    handle = await at_work.run(await at_work.begin(4, ONE_IN_TEN_SECONDS))
    await has_pending(handle, 3)
    assert await handle.query(BatchRetry.progress) == BatchProgress(retried=1, pending=3)
    await environment.sleep(timedelta(seconds=9))
    await has_pending(handle, 3)
    await handle.result()
    acts = [(await at_work.stands(number, State.CANCELLED)).snapshot.actions[0].at for number in numbers]
    # An act is dated when it arrives, so a busy machine shortens one interval by what it has delayed the act before.
    for earlier, later in itertools.pairwise(acts):
        assert later - earlier >= timedelta(seconds=5)
    assert acts[-1] - acts[0] >= timedelta(seconds=25)


async def test_a_stop_ends_it_at_once_and_leaves_the_rest_as_it_is(
    at_work: Bench, environment: WorkflowEnvironment
) -> None:
    numbers = await at_work.abort(3, await environment.get_current_time())
    at_work.external.away = False
    batch = await at_work.begin(3, ONE_IN_TEN_SECONDS)
    handle = await at_work.run(batch)
    await has_pending(handle, 2)
    for _ in range(2):
        assert (await handle.execute_update(BatchRetry.stop)).pending == 2
    assert await handle.result() == BatchProgress(state=BatchState.STOPPED, retried=1, pending=2)
    events = (await handle.fetch_history()).events
    assert [event for event in events if event.HasField("timer_started_event_attributes")]
    assert not [event for event in events if event.HasField("timer_fired_event_attributes")]
    assert await at_work.outcomes(batch) == [RETRIED, PENDING, PENDING]
    await at_work.reversed_once(numbers[:1])
    for number in numbers[1:]:
        await at_work.stands(number, State.ABORTED)
        assert await at_work.actions(number) == []


async def test_a_batch_that_the_ledger_has_as_stopped_retries_nothing_more(
    at_work: Bench, environment: WorkflowEnvironment
) -> None:
    """So a stop by the API needs no worker and no Temporal."""
    await at_work.abort(3, await environment.get_current_time())
    batch = await at_work.begin(3, ONE_IN_TEN_SECONDS)
    handle = await at_work.run(batch)
    await has_pending(handle, 2)
    await at_work.batches.end(batch, BatchState.STOPPED, await environment.get_current_time())
    assert await handle.result() == BatchProgress(state=BatchState.STOPPED, retried=1, pending=2)
    assert await at_work.outcomes(batch) == [RETRIED, PENDING, PENDING]


async def test_a_workflow_cancellation_is_a_stop(at_work: Bench, environment: WorkflowEnvironment) -> None:
    await at_work.abort(2, await environment.get_current_time())
    batch = await at_work.begin(2, ONE_IN_TEN_SECONDS)
    handle = await at_work.run(batch)
    await has_pending(handle, 1)
    await handle.cancel()
    assert await handle.result() == BatchProgress(state=BatchState.STOPPED, retried=1, pending=1)


async def test_a_stop_after_the_last_one_was_retried_is_no_stop(
    at_work: Bench, environment: WorkflowEnvironment
) -> None:
    await at_work.abort(1, await environment.get_current_time())
    at_work.batches.down = True
    handle = await at_work.run(await at_work.begin(1))

    async def retried() -> bool:
        return at_work.batches.refused > 0

    await until(retried)
    await handle.execute_update(BatchRetry.stop)
    at_work.batches.down = False
    assert await handle.result() == BatchProgress(state=BatchState.DONE, retried=1)
