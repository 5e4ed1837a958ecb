"""Starts the workflows of running batches that have none."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.reconciliation.repair import Reconciler
from activities.temporal_calls import TemporalCallError, calling_temporal
from ledger import Batches
from settlement import limits
from settlement.batch_retry import Batch
from settlement.reconciliation import ScanResult, ScanTask

log = structlog.get_logger()

StartBatch = Callable[[Client, Batch], Awaitable[object]]
"""Starts a batch's workflow, or joins the one that runs; activities do not import workflows."""


class StartBatches:
    """Declares the activity, and holds the client and the record of batches."""

    def __init__(self, temporal: Client, batches: Batches, reconciler: Reconciler, start_batch: StartBatch) -> None:
        self._temporal = temporal
        self._batches = batches
        self._reconciler = reconciler
        self._start_batch = start_batch

    @activity.defn(name="start_batches")
    async def start_batches(self, task: ScanTask) -> ScanResult:
        """Start the workflow of each batch that the ledger has as RUNNING, unless it runs: at most 50, oldest first.

        The API starts a batch when it is begun. This starts it if that failed, or if the API was killed before it, or
        if the workflow was terminated. Repeating it is safe: a workflow that runs is joined. A batch whose start fails
        is counted in `failed` and does not affect the others.

        Raises ApplicationError WRONG_TEMPORAL where the ledger belongs to another Temporal, and any error of the
        ledger: then no batch was started.
        """
        await self._reconciler.begin(task)
        running = await self._batches.running(limits.RECONCILE_BATCHES_MAX)
        started = await asyncio.gather(*(self._start(batch) for batch in running))
        return ScanResult(checked=len(running), failed=started.count(False))

    async def _start(self, batch: Batch) -> bool:
        """Start one batch; return whether its workflow runs, or came to its end after the ledger was read."""
        try:
            async with calling_temporal(limits.RECONCILE_RPC_S):
                await self._start_batch(self._temporal, batch)
        except WorkflowAlreadyStartedError:
            return True
        except TemporalCallError as error:
            log.warning("batch not started", batch=batch.batch_id, error=str(error))
            return False
        return True
