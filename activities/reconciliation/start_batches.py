"""The activity that starts the workflows of RUNNING batches without one."""

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
"""Starts a batch's workflow, or returns the running one. Passed in, because activities must not import workflows."""


class StartBatches:
    """The activity `start_batches`, with its Temporal client and the record of batches."""

    def __init__(self, temporal: Client, batches: Batches, reconciler: Reconciler, start_batch: StartBatch) -> None:
        self._temporal = temporal
        self._batches = batches
        self._reconciler = reconciler
        self._start_batch = start_batch

    @activity.defn(name="start_batches")
    async def start_batches(self, task: ScanTask) -> ScanResult:
        """Start the workflow of each RUNNING batch, unless it is running: at most 50 batches, oldest first.

        Usually the API starts the workflow when it creates the batch. This activity starts it if that failed, if the
        API was killed before, or if the workflow was terminated. Repeating it is safe: a running workflow is joined. A
        batch whose start fails is counted in `failed` and does not affect the others.

        Raises ApplicationError WRONG_TEMPORAL if the ledger is bound to another Temporal namespace, and any error of
        the ledger; then no batch was started.
        """
        await self._reconciler.check_temporal_identity(task)
        running = await self._batches.running(limits.RECONCILE_BATCHES_MAX)
        started = await asyncio.gather(*(self._start(batch) for batch in running))
        return ScanResult(checked=len(running), failed=started.count(False))

    async def _start(self, batch: Batch) -> bool:
        """Start one batch; return whether its workflow is running, or has completed since the ledger was read."""
        try:
            async with calling_temporal(limits.RECONCILE_RPC_S):
                await self._start_batch(self._temporal, batch)
        except WorkflowAlreadyStartedError:
            return True
        except TemporalCallError as error:
            log.warning("batch not started", batch=batch.batch_id, error=str(error))
            return False
        return True
