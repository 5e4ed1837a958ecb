"""What an operator sees of a batch in the Temporal UI. No personal data, and neither note nor operator."""

from temporalio.common import SearchAttributePair, TypedSearchAttributes

from settlement.batch_retry import Batch, BatchInput, BatchProgress, BatchState
from workflows.visibility import COMPANY_ID

STOP_DESCRIPTION = (
    "Stop this batch: what is under way ends, nothing further is begun. What was not retried by then stays ABORTED. "
    "No input. Repeating it changes nothing."
)
PROGRESS_DESCRIPTION = "How many settlements were retried, refused, failed, and how many are pending"

_WHAT_NEXT = {
    BatchState.RUNNING: "To stop it, send this workflow the Update `stop`.",
    BatchState.STOPPED: "Stopped. What is pending was left as it was; preview and begin another batch for it.",
    BatchState.DONE: "Done. Whether a retried settlement was cancelled or aborted again, its own state says.",
}


def batch_search_attributes(batch: Batch) -> TypedSearchAttributes:
    """Return the company, if the selection names one; a batch has no attribute of its own."""
    company_id = batch.selection.company_id
    return TypedSearchAttributes([] if company_id is None else [SearchAttributePair(COMPANY_ID, str(company_id))])


def batch_summary(batch: Batch) -> str:
    """Return the line beside the workflow in the UI's list."""
    return f"retry {batch.count} aborted settlements, {batch.rate_per_s:g} a second, {batch.reason_code}"


def batch_details(batch: BatchInput, progress: BatchProgress) -> str:
    """Return in Markdown how far the batch has come and what can be done."""
    done = progress.retried + progress.refused + progress.failed
    counts = (
        f"{progress.retried} went back to CANCELLING; {progress.refused} were refused, because they were not ABORTED "
        f"any more; {progress.failed} did not answer; {progress.pending} are pending."
    )
    return "\n\n".join(
        [
            f"### {progress.state}: {done} of {done + progress.pending} settlements, {batch.rate_per_s:g} a second",
            counts,
            _WHAT_NEXT[progress.state],
            f"The report: `GET /v1/batch-retries/{batch.batch_id}/items`",
        ]
    )
