"""A batch retries each of its settlements exactly once, even if workers or results are lost."""

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner

from ledger import SettlementRecord
from settlement.batch_retry import BatchInput, BatchProgress, BatchState, ItemOutcome
from settlement.ids import batch_workflow_id, workflow_id
from settlement.start import TakeUp
from settlement.states import State
from tests.support.batches import ONE_IN_TEN_SECONDS, Bench, has_pending, running_bench
from tests.support.ledgers import FlakyLedger
from tests.support.orders import id_of, new_number
from tests.support.patient_worker import PatientWorker
from tests.support.polling import until
from workflows import runtime as history
from workflows.batch_retry.workflow import BatchRetry
from workflows.start import take_up

RETRIED, REFUSED = ItemOutcome.RETRIED, ItemOutcome.REFUSED


async def test_a_repeated_chunk_retries_no_settlement_again(bench: Bench, environment: WorkflowEnvironment) -> None:
    """As after a kill -9 between a settlement's answer and its outcome. The settlements have ended in the meantime."""
    numbers = await bench.abort(4, await environment.get_current_time())
    bench.external.away = False
    bench.batches.down = True
    batch = await bench.begin(4)
    handle = await bench.run(batch)

    async def repeated() -> bool:
        return bench.batches.refused >= 2 * len(numbers)

    await until(repeated)
    await bench.reversed_once(numbers)
    bench.batches.down = False
    assert await handle.result() == BatchProgress(state=BatchState.DONE, retried=4)
    await bench.reversed_once(numbers)
    assert sorted(each.reverseRequestUniqueNo for each in bench.external.cancels) == numbers  # type: ignore[union-attr] # only cancel adjusts are sent here


async def test_a_settlement_that_aborts_again_is_not_retried_twice_by_one_batch(
    bench: Bench, environment: WorkflowEnvironment
) -> None:
    """Its outcome was lost with a worker. It is ABORTED again, so another Update would be accepted."""
    (number,) = await bench.abort(1, await environment.get_current_time())
    bench.batches.down = True
    batch = await bench.begin(1)
    handle = await bench.run(batch)

    async def repeated() -> bool:
        found = await bench.ledger.find(id_of(number))
        return bench.batches.refused >= 3 and found is not None and len(found.snapshot.calls) == 3

    await until(repeated)
    bench.batches.down = False
    assert await handle.result() == BatchProgress(state=BatchState.DONE, retried=1)
    assert len(await bench.actions(number)) == 1
    assert (await bench.wait_for_state(number, State.ABORTED)).snapshot.calls[-1].round == 1


async def test_a_settlement_taken_up_by_a_new_workflow_is_not_retried_twice_by_one_batch(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """The new workflow does not know the Update id, but the audit has the action."""
    async with running_bench(environment, ledger) as bench:
        (number,) = await bench.abort(1, await environment.get_current_time())
        bench.batches.down = True
        batch = await bench.begin(1)
        handle = await bench.run(batch)

        async def aborted_again() -> SettlementRecord | None:
            found = await ledger.find(id_of(number))
            return found if found and found.snapshot.state is State.ABORTED and found.snapshot.actions else None

        found = await until(aborted_again)
        await bench.client.get_workflow_handle(workflow_id(id_of(number))).terminate()
        await take_up(bench.client, found.settlement, TakeUp(snapshot=found.snapshot, reason="it was lost"))
        repeats = bench.batches.refused + 2

        async def repeated() -> bool:
            return bench.batches.refused >= repeats

        await until(repeated)
        bench.batches.down = False
        assert await handle.result() == BatchProgress(state=BatchState.DONE, retried=1)
        assert [act[-1] for act in await bench.actions(number)].count(batch) == 1


async def test_two_batches_with_the_same_settlements_retry_each_once(
    bench: Bench, environment: WorkflowEnvironment
) -> None:
    numbers = await bench.abort(4, await environment.get_current_time())
    bench.external.away = False
    both = [await bench.begin(4), await bench.begin(4)]
    for handle in [await bench.run(batch) for batch in both]:
        assert (await handle.result()).state is BatchState.DONE
    await bench.reversed_once(numbers)
    came_to = zip(*[await bench.outcomes(batch) for batch in both], strict=True)
    assert all({*pair} == {RETRIED, REFUSED} for pair in came_to)


async def test_a_batch_whose_workflow_was_lost_continues_with_the_pending_settlements(
    bench: Bench, environment: WorkflowEnvironment
) -> None:
    numbers = await bench.abort(3, await environment.get_current_time())
    bench.external.away = False
    batch = await bench.begin(3, ONE_IN_TEN_SECONDS)
    lost = await bench.run(batch)
    await has_pending(lost, 2)
    await lost.terminate()
    handle = await bench.run(batch)
    assert await handle.query(BatchRetry.progress) == BatchProgress(retried=1, pending=2)
    assert await handle.result() == BatchProgress(state=BatchState.DONE, retried=3)
    await bench.reversed_once(numbers)


async def test_a_batch_started_twice_runs_once(bench: Bench, environment: WorkflowEnvironment) -> None:
    await bench.abort(2, await environment.get_current_time())
    batch = await bench.begin(2, ONE_IN_TEN_SECONDS)
    one, other = await bench.run(batch), await bench.run(batch)
    await has_pending(one, 1)
    assert (await one.describe()).run_id == (await other.describe()).run_id
    assert (await other.result()).retried == 2


async def test_a_long_batch_continues_as_new_and_loses_nothing(
    environment: WorkflowEnvironment, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "HISTORY_EVENTS_MAX", 1)
    numbers = await bench.abort(3, await environment.get_current_time())
    bench.external.away = False
    batch = await bench.begin(3, ONE_IN_TEN_SECONDS)
    queue = new_number("forgetful")
    async with PatientWorker(
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
    await bench.reversed_once(numbers)
