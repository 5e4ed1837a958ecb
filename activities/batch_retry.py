"""Activities of a batch retry: retry a chunk of settlements, and write the end of the batch."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from activities.heartbeats import heartbeats
from activities.reconciliation.repair import Reconciler
from activities.temporal_calls import TemporalCallError, TemporalNotFoundError, calling_temporal
from ledger import Batches
from ledger.batch_retry.batches import PendingItem
from settlement import limits
from settlement.batch_retry import BatchChunk, BatchEnd, BatchInput, BatchProgress, ItemOutcome
from settlement.ids import RETRY_UPDATE, batch_update_id, workflow_id
from settlement.snapshot import OperatorRequest
from settlement.states import State

log = structlog.get_logger()

Answer = tuple[ItemOutcome, str]

RPC_SHARE = 0.95
"""A little shorter than the limit, so that the call ends by itself: cut off, it leaves an error nobody reads."""


class RetrySettlements:
    """Holds the way to the settlements' workflows, and the record of batches."""

    def __init__(self, temporal: Client, batches: Batches, reconciler: Reconciler) -> None:
        self._temporal = temporal
        self._batches = batches
        self._reconciler = reconciler

    @activity.defn(name="retry_settlements")
    async def retry_settlements(self, chunk: BatchChunk) -> BatchProgress:
        """Retry the batch's next pending settlements, evenly spread by its rate; return how far the batch has come.

        Repeating it is safe: what has an outcome is not touched again, and what may have been retried without
        one is asked by the same Update again, which is the same one retry. A settlement that does not answer
        gets the outcome FAILED after a bounded time, and may still go back to CANCELLING: its own state tells.

        Any database error is raised, once the chunk's other settlements are through, for Temporal to repeat
        the chunk for as long as the outage lasts.
        """
        batch = chunk.batch
        items = await self._batches.pending(batch.batch_id, chunk.size)
        async with heartbeats(limits.BATCH_HEARTBEAT):
            turns = (self._retry(batch, item, turn / batch.rate_per_s) for turn, item in enumerate(items))
            for error in await asyncio.gather(*turns, return_exceptions=True):
                if error is not None:
                    raise error
            return await self._batches.progress(batch.batch_id)

    async def _retry(self, batch: BatchInput, item: PendingItem, after_s: float) -> None:
        await asyncio.sleep(after_s)
        outcome, detail = await self._outcome(batch, item)
        await self._batches.write_outcome(batch.batch_id, item.position, outcome, detail, datetime.now(UTC))
        log.info("batch retry", batch=batch.batch_id, settlement=item.number, outcome=outcome, detail=detail)

    async def _outcome(self, batch: BatchInput, item: PendingItem) -> Answer:
        if item.retried:
            return ItemOutcome.RETRIED, "found in its audit"
        for attempt in range(limits.BATCH_ITEM_ATTEMPTS):
            await asyncio.sleep(limits.BATCH_ITEM_PAUSE_S if attempt else 0)
            answer = await self._ask(batch, item)
            if answer is not None:
                return answer
            if activity.is_cancelled():
                # Its worker is ending, and the client has made a timeout of that: another worker goes on.
                raise asyncio.CancelledError
        return ItemOutcome.FAILED, "its workflow did not answer; it may still be retried, its state tells"

    async def _ask(self, batch: BatchInput, item: PendingItem) -> Answer | None:
        """Send the settlement's Update; None: no answer, so nobody can tell."""
        request = OperatorRequest(
            operator=batch.operator, reason_code=batch.reason_code, note=batch.note, batch_id=batch.batch_id
        )
        try:
            async with calling_temporal(limits.BATCH_ITEM_LIMIT_S):
                await self._temporal.get_workflow_handle(workflow_id(item.number)).execute_update(
                    RETRY_UPDATE,
                    request,
                    id=batch_update_id(batch.batch_id, item.number),
                    rpc_timeout=timedelta(seconds=limits.BATCH_ITEM_LIMIT_S * RPC_SHARE),
                )
        except WorkflowUpdateFailedError as error:
            return ItemOutcome.REFUSED, _reason(error)
        except TemporalNotFoundError:
            return await self._restart(item)
        except TemporalCallError:
            return None
        return ItemOutcome.RETRIED, f"back to {State.CANCELLING}"

    async def _restart(self, item: PendingItem) -> Answer | None:
        """Start an aborted settlement's workflow again; None: it was, or cannot be told: ask again."""
        if item.state is not State.ABORTED:
            return _not_open(item.state)
        try:
            async with calling_temporal(limits.BATCH_ITEM_LIMIT_S):
                found = await self._reconciler.restart_aborted(item.number)
        except TemporalCallError:
            return None
        return None if found.repaired or found.kind is None else _not_open(item.state)


def _reason(error: WorkflowUpdateFailedError) -> str:
    """Return a settlement's own words where it has some: they name the state that it is in."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == "WRONG_STATE":
        return cause.message
    return "the settlement refused the request"


def _not_open(state: State) -> Answer:
    remedy = "run settlement reconcile, then retry it"
    return ItemOutcome.REFUSED, f"Temporal has no open workflow of it; the ledger has it {state}; {remedy}"


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
