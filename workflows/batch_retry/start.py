"""Starts the workflow of a batch. Repeating the start is safe."""

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from settlement.batch_retry import Batch, BatchInput, BatchProgress, ItemOutcome
from settlement.ids import batch_workflow_id
from workflows.batch_retry.visibility import batch_search_attributes, batch_summary
from workflows.batch_retry.workflow import BatchRetry
from workflows.runtime import SETTLEMENT_TASK_QUEUE


async def start_batch(client: Client, batch: Batch) -> WorkflowHandle[BatchRetry, BatchProgress]:
    """Start the workflow of a RUNNING batch and return its handle. Repeating it returns the running workflow.

    If it was ended from outside, a new workflow continues with the pending settlements. Raises
    WorkflowAlreadyStartedError if it has completed. Must be called within `calling_temporal`, which translates errors
    of Temporal.
    """
    return await client.start_workflow(
        BatchRetry.run,
        BatchInput(
            batch_id=batch.batch_id,
            operator=batch.operator,
            key_id=batch.key_id,
            reason_code=batch.reason_code,
            note=batch.note,
            rate_per_s=batch.rate_per_s,
            progress=_progress(batch),
        ),
        id=batch_workflow_id(batch.batch_id),
        task_queue=SETTLEMENT_TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        search_attributes=batch_search_attributes(batch),
        static_summary=batch_summary(batch),
    )


def _progress(batch: Batch) -> BatchProgress:
    return BatchProgress(
        state=batch.state,
        retried=batch.outcomes.get(ItemOutcome.RETRIED, 0),
        refused=batch.outcomes.get(ItemOutcome.REFUSED, 0),
        failed=batch.outcomes.get(ItemOutcome.FAILED, 0),
        pending=batch.outcomes.get(ItemOutcome.PENDING, 0),
    )
