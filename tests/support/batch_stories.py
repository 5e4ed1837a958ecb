"""One story for each way a batch can end, recorded beside those of settlements (`tests.support.stories`)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from settlement.batch_retry import BatchProgress, BatchState
from tests.support.batches import ONE_IN_TEN_SECONDS, has_pending, running_bench
from tests.support.histories import without_stack_traces
from tests.support.ledgers import FlakyLedger
from workflows.batch_retry.workflow import BatchRetry

Handle = WorkflowHandle[BatchRetry, BatchProgress]
SETTLEMENTS = 3


async def _stopped(handle: Handle) -> None:
    await has_pending(handle, SETTLEMENTS - 1)
    await handle.execute_update(BatchRetry.stop)


async def _cancelled(handle: Handle) -> None:
    await has_pending(handle, SETTLEMENTS - 1)
    await handle.cancel(reason="maintenance")


@dataclass(frozen=True)
class BatchStory:
    """How a batch of three ends, and what is done to it meanwhile."""

    end: BatchState
    act: Callable[[Handle], Awaitable[None]] | None = None
    rate_per_s: float = ONE_IN_TEN_SECONDS


def batch_stories() -> dict[str, BatchStory]:
    """Return all stories by name; none begins like one of a settlement."""
    return {
        "batch-done": BatchStory(BatchState.DONE),
        "batch-done-in-one-chunk": BatchStory(BatchState.DONE, rate_per_s=SETTLEMENTS),
        "batch-stopped": BatchStory(BatchState.STOPPED, _stopped),
        "batch-workflow-cancelled": BatchStory(BatchState.STOPPED, _cancelled),
    }


async def history_of_batch(environment: WorkflowEnvironment, ledger: FlakyLedger, story: BatchStory) -> str:
    """Run a story and return its history as JSON. What it leaves ABORTED goes to another batch."""
    async with running_bench(environment, ledger) as bench:
        await bench.abort(SETTLEMENTS, await environment.get_current_time())
        bench.external.away = False
        handle = await bench.run(await bench.begin(SETTLEMENTS, story.rate_per_s))
        if story.act is not None:
            await story.act(handle)
        progress = await handle.result()
        assert progress.state is story.end, progress
        history = without_stack_traces((await handle.fetch_history()).to_json())
        if progress.pending:
            await (await bench.run(await bench.begin(progress.pending))).result()
        return history
