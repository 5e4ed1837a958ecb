"""A batch that is in the ledger is started: by the API, or else by the next round, and never twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.reconciliation.repair import Reconciler
from activities.reconciliation.start_batches import StartBatches
from settlement.batch_retry import Batch, BatchState
from settlement.ids import batch_workflow_id
from settlement.reconciliation import ScanResult, ScanTask
from tests.reconciliation.conftest import Sides
from tests.support.batches import Bench, FlakyBatches
from tests.support.polling import until
from tests.support.sagas import workers
from workflows.batch_retry.start import start_batch
from workflows.start import take_up


@asynccontextmanager
async def running_bench(sides: Sides) -> AsyncIterator[Bench]:
    """Run the workers of settlements and batches; the external system is back once settlements are aborted."""
    prepared = Bench(sides.temporal, sides.ledger, FlakyBatches(sides.engine))
    async with workers(sides.temporal, prepared.external, sides.ledger, prepared.batches):
        yield prepared


async def aborted(bench: Bench, count: int) -> list[str]:
    """Have an external system that is away abort so many settlements; then it is back."""
    numbers = await bench.abort(count, datetime.now(UTC))
    bench.external.away = False
    return numbers


async def ends(bench: Bench, batch: str) -> Batch:
    """Wait until a batch is DONE."""

    async def probe() -> Batch | None:
        found = await bench.batches.find(batch)
        return found if found and found.state is BatchState.DONE else None

    return await until(probe, what="the end of the batch")


async def runs_of(temporal: Client, batch: str, expected: int) -> None:
    """Wait until Temporal lists so many runs of a batch's workflow; its list trails what it knows."""

    async def probe() -> bool:
        listed = temporal.list_workflows(f"WorkflowId = '{batch_workflow_id(batch)}'")
        return len([each async for each in listed]) == expected

    await until(probe, what=f"{expected} runs of the batch")


async def is_started(temporal: Client, batch: str) -> bool:
    """Tell whether Temporal knows a workflow of a batch."""
    try:
        await temporal.get_workflow_handle(batch_workflow_id(batch)).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def test_a_batch_that_was_written_and_not_started_is_started_by_the_next_round_and_once(sides: Sides) -> None:
    """So it is when Temporal was away at the POST, or the API was killed after it had written the batch."""
    async with running_bench(sides) as bench:
        numbers = await aborted(bench, 2)
        batch = await bench.begin(2)
        assert not await is_started(sides.temporal, batch)
        ended = await sides.round()
        assert ended.complete
        await ends(bench, batch)
        await sides.round()
        await bench.reversed_once(numbers)
    await runs_of(sides.temporal, batch, 1)


async def test_the_api_and_rounds_together_start_one_workflow(sides: Sides) -> None:
    async with running_bench(sides) as bench:
        numbers = await aborted(bench, 2)
    batch = await bench.begin(2)
    started = await bench.run(batch)
    first = await started.describe()
    for _ in range(2):
        assert (await sides.round()).complete
    assert (await started.describe()).run_id == first.run_id
    async with workers(sides.temporal, bench.external, sides.ledger, bench.batches):
        await ends(bench, batch)
        await bench.reversed_once(numbers)
    await runs_of(sides.temporal, batch, 1)


async def test_a_batch_whose_workflow_was_terminated_goes_on(sides: Sides) -> None:
    async with running_bench(sides) as bench:
        numbers = await aborted(bench, 2)
    batch = await bench.begin(2)
    terminated = await bench.run(batch)
    await terminated.terminate()
    await sides.round()
    async with workers(sides.temporal, bench.external, sides.ledger, bench.batches):
        await ends(bench, batch)
        await bench.reversed_once(numbers)


async def test_a_batch_that_was_stopped_is_not_started(sides: Sides) -> None:
    async with running_bench(sides) as bench:
        await aborted(bench, 1)
        batch = await bench.begin(1)
        await bench.batches.end(batch, BatchState.STOPPED, datetime.now(UTC))
        await sides.round()
    assert not await is_started(sides.temporal, batch)


async def three_batches(sides: Sides) -> tuple[Bench, list[str]]:
    """Write three batches over one settlement, oldest first; return their ids."""
    async with running_bench(sides) as bench:
        await aborted(bench, 1)
    return bench, [await bench.begin(1) for _ in range(3)]


async def start_waiting(sides: Sides, bench: Bench, fails: str = "") -> ScanResult:
    """Run the activity; one batch cannot be started."""

    async def start(client: Client, batch: Batch) -> object:
        if batch.batch_id == fails:
            message = "Temporal is away"
            raise RuntimeError(message)
        return await start_batch(client, batch)

    reconciler = Reconciler(sides.temporal, sides.engine, take_up)
    activity = StartBatches(sides.temporal, bench.batches, reconciler, start).start_batches
    return await ActivityEnvironment().run(activity, ScanTask(round_started_at=datetime.now(UTC)))


async def test_one_that_cannot_be_started_affects_no_other_and_is_counted(sides: Sides) -> None:
    bench, (first, second, third) = await three_batches(sides)
    scanned = await start_waiting(sides, bench, fails=second)
    assert (scanned.checked, scanned.failed) == (3, 1)
    assert [await is_started(sides.temporal, each) for each in (first, second, third)] == [True, False, True]
    assert (await start_waiting(sides, bench)).failed == 0
    handle = sides.temporal.get_workflow_handle(batch_workflow_id(second))
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING


async def test_beyond_the_limit_of_a_round_the_oldest_come_first(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.limits.RECONCILE_BATCHES_MAX", 2)
    bench, batches = await three_batches(sides)
    assert (await start_waiting(sides, bench)).checked == 2
    assert [await is_started(sides.temporal, each) for each in batches] == [True, True, False]
    await bench.batches.end(batches[0], BatchState.STOPPED, datetime.now(UTC))
    await start_waiting(sides, bench)
    assert await is_started(sides.temporal, batches[2])
