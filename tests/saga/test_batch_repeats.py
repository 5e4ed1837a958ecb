"""Whatever is lost or repeated, a batch retries each of its settlements once."""

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from ledger import SettlementRecord
from settlement.batch_retry import BatchInput, BatchProgress, BatchState, ItemOutcome
from settlement.ids import batch_workflow_id, workflow_id
from settlement.start import TakeUp
from settlement.states import State
from tests.support.batches import ONE_IN_TEN_SECONDS, Bench, bench, has_pending
from tests.support.ledgers import FlakyLedger
from tests.support.orders import new_number
from tests.support.polling import until
from workflows import runtime as history
from workflows.batch_retry.workflow import BatchRetry
from workflows.start import take_up

RETRIED, REFUSED = ItemOutcome.RETRIED, ItemOutcome.REFUSED


async def test_a_chunk_that_is_repeated_retries_none_of_its_settlements_again(
    at_work: Bench, environment: WorkflowEnvironment
) -> None:
    """As after a kill -9 between a settlement's answer and its outcome; the settlements have long ended by then."""
    numbers = await at_work.abort(4, await environment.get_current_time())
    at_work.external.away = False
    at_work.batches.down = True
    batch = await at_work.begin(4)
    handle = await at_work.run(batch)

    async def repeated() -> bool:
        return at_work.batches.refused >= 2 * len(numbers)

    await until(repeated)
    await at_work.reversed_once(numbers)
    at_work.batches.down = False
    assert await handle.result() == BatchProgress(state=BatchState.DONE, retried=4)
    await at_work.reversed_once(numbers)
    assert sorted(each.reverseRequestUniqueNo for each in at_work.external.cancels) == numbers  # type: ignore[union-attr] # only cancel adjusts are sent here


async def test_a_settlement_that_aborts_again_is_not_retried_by_the_same_batch_again(
    at_work: Bench, environment: WorkflowEnvironment
) -> None:
    """Its outcome was lost with a worker; the settlement is ABORTED once more, so another Update would be taken."""
    (number,) = await at_work.abort(1, await environment.get_current_time())
    at_work.batches.down = True
    batch = await at_work.begin(1)
    handle = await at_work.run(batch)

    async def repeated() -> bool:
        found = await at_work.ledger.find(number)
        return at_work.batches.refused >= 3 and found is not None and len(found.snapshot.calls) == 3

    await until(repeated)
    at_work.batches.down = False
    assert await handle.result() == BatchProgress(state=BatchState.DONE, retried=1)
    assert len(await at_work.actions(number)) == 1
    assert (await at_work.stands(number, State.ABORTED)).snapshot.calls[-1].round == 1


async def test_a_settlement_that_was_taken_up_anew_is_not_retried_by_the_same_batch_again(
    own_environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """Its new workflow does not know the Update; its audit knows the act."""
    async with bench(own_environment, ledger) as at_work:
        (number,) = await at_work.abort(1, await own_environment.get_current_time())
        at_work.batches.down = True
        batch = await at_work.begin(1)
        handle = await at_work.run(batch)

        async def aborted_again() -> SettlementRecord | None:
            found = await ledger.find(number)
            return found if found and found.snapshot.state is State.ABORTED and found.snapshot.actions else None

        found = await until(aborted_again)
        await at_work.client.get_workflow_handle(workflow_id(number)).terminate()
        await take_up(at_work.client, found.settlement, TakeUp(snapshot=found.snapshot, reason="it was lost"))
        repeats = at_work.batches.refused + 2

        async def repeated() -> bool:
            return at_work.batches.refused >= repeats

        await until(repeated)
        at_work.batches.down = False
        assert await handle.result() == BatchProgress(state=BatchState.DONE, retried=1)
        assert [act[-1] for act in await at_work.actions(number)].count(batch) == 1


async def test_two_batches_over_the_same_settlements_retry_each_once(
    at_work: Bench, environment: WorkflowEnvironment
) -> None:
    numbers = await at_work.abort(4, await environment.get_current_time())
    at_work.external.away = False
    both = [await at_work.begin(4), await at_work.begin(4)]
    for handle in [await at_work.run(batch) for batch in both]:
        assert (await handle.result()).state is BatchState.DONE
    await at_work.reversed_once(numbers)
    came_to = zip(*[await at_work.outcomes(batch) for batch in both], strict=True)
    assert all({*pair} == {RETRIED, REFUSED} for pair in came_to)


async def test_a_batch_that_lost_its_workflow_goes_on_where_it_was(
    at_work: Bench, environment: WorkflowEnvironment
) -> None:
    numbers = await at_work.abort(3, await environment.get_current_time())
    at_work.external.away = False
    batch = await at_work.begin(3, ONE_IN_TEN_SECONDS)
    lost = await at_work.run(batch)
    await has_pending(lost, 2)
    await lost.terminate()
    handle = await at_work.run(batch)
    assert await handle.query(BatchRetry.progress) == BatchProgress(retried=1, pending=2)
    assert await handle.result() == BatchProgress(state=BatchState.DONE, retried=3)
    await at_work.reversed_once(numbers)


async def test_a_batch_that_is_started_twice_runs_once(at_work: Bench, environment: WorkflowEnvironment) -> None:
    await at_work.abort(2, await environment.get_current_time())
    batch = await at_work.begin(2, ONE_IN_TEN_SECONDS)
    one, other = await at_work.run(batch), await at_work.run(batch)
    await has_pending(one, 1)
    assert (await one.describe()).run_id == (await other.describe()).run_id
    assert (await other.result()).retried == 2


async def test_a_long_batch_begins_its_history_anew_and_loses_nothing(
    environment: WorkflowEnvironment, at_work: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "HISTORY_EVENTS_MAX", 1)
    numbers = await at_work.abort(3, await environment.get_current_time())
    at_work.external.away = False
    batch = await at_work.begin(3, ONE_IN_TEN_SECONDS)
    queue = new_number("forgetful")
    async with Worker(
        environment.client,
        task_queue=queue,
        workflows=[BatchRetry],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=0,
    ):
        start = BatchInput(
            batch_id=batch,
            operator="ops-1",
            reason_code="OTHER",
            note="broker is back",
            rate_per_s=ONE_IN_TEN_SECONDS,
            progress=BatchProgress(pending=3),
        )
        first = await environment.client.start_workflow(
            BatchRetry.run, start, id=batch_workflow_id(batch), task_queue=queue
        )
        assert await first.result() == BatchProgress(state=BatchState.DONE, retried=3)
        last = await environment.client.get_workflow_handle(batch_workflow_id(batch)).describe()
    assert last.run_id != first.first_execution_run_id
    await at_work.reversed_once(numbers)
