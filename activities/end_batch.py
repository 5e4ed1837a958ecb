"""The end of a batch goes into the ledger."""

from datetime import UTC, datetime

from temporalio import activity

from contract.batch import BatchEnd, BatchProgress
from ledger import Batches


class EndBatch:
    """Holds the record of batches."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    @activity.defn(name="end_batch")
    async def end_batch(self, end: BatchEnd) -> BatchProgress:
        """Write the end of a batch, unless it has one; return what the ledger has. Repeating it changes nothing.

        Any database error is raised, for Temporal to retry for as long as the outage lasts.
        """
        await self._batches.end(end.batch_id, end.state, datetime.now(UTC))
        return await self._batches.progress(end.batch_id)
