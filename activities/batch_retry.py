"""Activities of a batch retry: retry one chunk of settlements, and write the end of the batch."""

import asyncio
from datetime import UTC, datetime

import structlog
from temporalio import activity
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from activities.heartbeats import heartbeats
from activities.reconciliation.repair import Reconciler
from activities.stale_updates import actions_if_stale
from activities.temporal_calls import TemporalCallError, TemporalNotFoundError, calling_temporal, rpc_timeout
from ledger import Batches
from ledger.batch_retry.batches import PendingItem
from settlement import limits
from settlement.batch_retry import BatchChunk, BatchEnd, BatchInput, BatchProgress, ItemOutcome
from settlement.ids import RETRY_UPDATE, batch_update_id, workflow_id
from settlement.snapshot import OperatorRequest
from settlement.states import State
from settlement.tasks import UpdateRefusal
from settlement.update_signature import UpdateSigner

log = structlog.get_logger()

ItemResult = tuple[ItemOutcome, str]


class RetrySettlements:
    """The activity `retry_settlements`, with its Temporal client, the record of batches, and the reconciler."""

    def __init__(self, temporal: Client, batches: Batches, reconciler: Reconciler, signer: UpdateSigner) -> None:
        self._temporal = temporal
        self._batches = batches
        self._reconciler = reconciler
        self._signer = signer

    @activity.defn(name="retry_settlements")
    async def retry_settlements(self, chunk: BatchChunk) -> BatchProgress:
        """Retry the next pending settlements of the batch, evenly spread at its rate; return the batch's progress.

        Repeating it is safe. A settlement with an outcome is skipped. A settlement that may already have been retried
        gets the same Update id again, which Temporal runs only once. A settlement that does not answer gets the
        outcome FAILED after a limited time. It may still go back to CANCELLING; its state shows it.

        Raises the first database error, after the other settlements of the chunk are done. Temporal then repeats the
        chunk until the database is available.
        """
        batch = chunk.batch
        items = await self._batches.pending(batch.batch_id, chunk.size)
        async with heartbeats(limits.BATCH_HEARTBEAT):
            retries = (self._retry(batch, item, index / batch.rate_per_s) for index, item in enumerate(items))
            for error in await asyncio.gather(*retries, return_exceptions=True):
                if error is not None:
                    raise error
            return await self._batches.progress(batch.batch_id)

    async def _retry(self, batch: BatchInput, item: PendingItem, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        outcome, detail = await self._outcome(batch, item)
        await self._batches.write_outcome(batch.batch_id, item.position, outcome, detail, datetime.now(UTC))
        log.info(
            "batch retry", batch=batch.batch_id, settlement=str(item.settlement_id), outcome=outcome, detail=detail
        )

    async def _outcome(self, batch: BatchInput, item: PendingItem) -> ItemResult:
        if item.retried:
            return ItemOutcome.RETRIED, "its audit already has the retry of this batch"
        earlier_actions = item.actions
        for attempt in range(limits.BATCH_ITEM_ATTEMPTS):
            await asyncio.sleep(limits.BATCH_ITEM_PAUSE_S if attempt else 0)
            result = await self._send_update(batch, item, earlier_actions)
            if isinstance(result, int):
                earlier_actions = result
                continue
            if result is not None:
                return result
            if activity.is_cancelled():
                # The worker is shutting down, which the client reports as a timeout. Another worker repeats the chunk.
                raise asyncio.CancelledError
        return ItemOutcome.FAILED, "its workflow did not answer; the retry may still have reached it, see its state"

    async def _send_update(self, batch: BatchInput, item: PendingItem, earlier_actions: int) -> ItemResult | int | None:
        """Send the retry Update, signed for this number of earlier actions, to the settlement's workflow.

        Return None if it did not answer (result unknown), or the number of actions if there are others than the
        ledger has: it is behind, or the workflow has just been restarted.
        """
        request = OperatorRequest(
            operator=batch.operator,
            reason_code=batch.reason_code,
            note=batch.note,
            batch_id=batch.batch_id,
            key_id=batch.key_id,
        )
        workflow = workflow_id(item.settlement_id)
        try:
            async with calling_temporal(limits.BATCH_ITEM_LIMIT_S):
                await self._temporal.get_workflow_handle(workflow).execute_update(
                    RETRY_UPDATE,
                    self._signer.sign(workflow, RETRY_UPDATE, earlier_actions, request),
                    id=batch_update_id(batch.batch_id, item.settlement_id.number),
                    rpc_timeout=rpc_timeout(limits.BATCH_ITEM_LIMIT_S),
                )
        except WorkflowUpdateFailedError as error:
            actions = actions_if_stale(error)
            return (ItemOutcome.REFUSED, _reason(error)) if actions is None else actions
        except TemporalNotFoundError:
            return await self._restart(item)
        except TemporalCallError:
            return None
        return ItemOutcome.RETRIED, f"back to {State.CANCELLING}"

    async def _restart(self, item: PendingItem) -> ItemResult | None:
        """Restart the lost workflow of an ABORTED settlement. Return None if the Update should be sent again."""
        if item.state is not State.ABORTED:
            return _no_open_workflow(item.state)
        try:
            async with calling_temporal(limits.BATCH_ITEM_LIMIT_S):
                examined = await self._reconciler.restart_aborted(item.settlement_id)
        except TemporalCallError:
            return None
        return None if examined.repaired or examined.kind is None else _no_open_workflow(item.state)


def _reason(error: WorkflowUpdateFailedError) -> str:
    """Return the settlement's message if it says what an operator must know, else a general one."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type in {UpdateRefusal.WRONG_STATE, UpdateRefusal.FORGED}:
        return cause.message
    return "the settlement rejected the request"


def _no_open_workflow(state: State) -> ItemResult:
    remedy = "run settlement reconcile, then retry it"
    return ItemOutcome.REFUSED, f"Temporal has no open workflow for it; its state in the ledger is {state}; {remedy}"


class EndBatch:
    """The activity `end_batch`, with the record of batches."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    @activity.defn(name="end_batch")
    async def end_batch(self, end: BatchEnd) -> BatchProgress:
        """Write the end of a batch unless it has ended; return its progress. Repeating it changes nothing.

        Raises any database error. Temporal then retries until the database is available.
        """
        await self._batches.end(end.batch_id, end.state, datetime.now(UTC))
        return await self._batches.progress(end.batch_id)
