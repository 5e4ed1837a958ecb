"""The workflow of a batch retry: takes many ABORTED settlements back to CANCELLING at a bounded rate."""

import asyncio
from contextlib import suppress
from datetime import datetime

from temporalio import workflow

from activities.batch_retry import EndBatch, RetrySettlements
from settlement.batch_retry import BatchChunk, BatchEnd, BatchInput, BatchProgress, BatchState
from settlement.limits import BATCH_CHUNK_S, BATCH_CHUNK_START_TO_CLOSE, BATCH_END_START_TO_CLOSE, BATCH_HEARTBEAT
from workflows.batch_retry.visibility import PROGRESS_DESCRIPTION, STOP_DESCRIPTION, batch_details
from workflows.journal import RECORD_RETRY
from workflows.runtime import BATCH_TASK_QUEUE, history_is_long


@workflow.defn
class BatchRetry:
    """One batch. The ledger has its settlements and their outcomes, so a new run can continue at any point.

    It ends when nothing is pending, or when it is stopped: by its Update, in the ledger, or by Temporal's workflow
    cancellation. It changes a settlement only with that settlement's own Update.
    """

    @workflow.init
    def __init__(self, batch: BatchInput) -> None:
        self._batch = batch
        self._progress = batch.progress
        self._stop_requested = False
        self._chunk_size = max(1, int(batch.rate_per_s * BATCH_CHUNK_S))

    @workflow.run
    async def run(self, batch: BatchInput) -> BatchProgress:  # noqa: ARG002 - __init__ has it
        """Retry the pending settlements. Return the final progress after the ledger has recorded the end.

        The work runs in a task of its own, so that a workflow cancellation acts as a stop: the current chunk completes,
        and the end is recorded.
        """
        work = asyncio.create_task(self._work())
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                self._stop_requested = True
        return work.result()

    async def _work(self) -> BatchProgress:
        self._show()
        while self._continues():
            began_at = workflow.now()
            await self._retry_chunk()
            await self._pace(began_at)
            if self._continues() and history_is_long():
                workflow.continue_as_new(self._batch.model_copy(update={"progress": self._progress}))
        await self._end()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._progress

    def _continues(self) -> bool:
        return not self._stop_requested and self._progress.state is BatchState.RUNNING and self._progress.pending > 0

    async def _retry_chunk(self) -> None:
        self._progress = await workflow.execute_activity_method(
            RetrySettlements.retry_settlements,
            BatchChunk(batch=self._batch, size=self._chunk_size),
            task_queue=BATCH_TASK_QUEUE,
            start_to_close_timeout=BATCH_CHUNK_START_TO_CLOSE,
            heartbeat_timeout=BATCH_HEARTBEAT,
            retry_policy=RECORD_RETRY,
            summary=f"retry the next {min(self._chunk_size, self._progress.pending)} of {self._progress.pending}",
        )
        self._show()

    async def _pace(self, began_at: datetime) -> None:
        """Wait until the batch's rate allows the next chunk, or the batch is stopped."""
        remaining_s = self._chunk_size / self._batch.rate_per_s - (workflow.now() - began_at).total_seconds()
        if remaining_s > 0 and self._continues():
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._stop_requested, timeout=remaining_s, timeout_summary="until the next chunk is due"
                )

    async def _end(self) -> None:
        stopped = self._stop_requested and self._progress.pending > 0
        self._progress = await workflow.execute_activity_method(
            EndBatch.end_batch,
            BatchEnd(batch_id=self._batch.batch_id, state=BatchState.STOPPED if stopped else BatchState.DONE),
            task_queue=BATCH_TASK_QUEUE,
            start_to_close_timeout=BATCH_END_START_TO_CLOSE,
            retry_policy=RECORD_RETRY,
            summary="write the end of the batch to the ledger",
        )
        self._show()

    def _show(self) -> None:
        workflow.set_current_details(batch_details(self._batch, self._progress))

    @workflow.update(description=STOP_DESCRIPTION)
    def stop(self) -> BatchProgress:
        """Start no further chunk. Settlements that are not retried by then are unchanged. Safe to repeat."""
        self._stop_requested = True
        return self._progress

    @workflow.query(description=PROGRESS_DESCRIPTION)
    def progress(self) -> BatchProgress:
        """Return the progress of the batch."""
        return self._progress
