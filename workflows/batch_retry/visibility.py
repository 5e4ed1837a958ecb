"""Texts and search attributes of a batch in the Temporal UI, without personal data, note and operator."""

from temporalio.common import SearchAttributePair, TypedSearchAttributes

from settlement.batch_retry import Batch, BatchInput, BatchProgress, BatchState
from workflows.visibility import COMPANY_ID

STOP_DESCRIPTION = (
    "Stops this batch after the current chunk. Settlements that are not retried by then stay ABORTED. "
    "No input. Repeating it changes nothing."
)
PROGRESS_DESCRIPTION = "The number of settlements that are retried, refused, failed and pending"

_WHAT_NEXT = {
    BatchState.RUNNING: "To stop it, send this workflow the Update `stop`.",
    BatchState.STOPPED: "Stopped. Pending settlements are unchanged. To retry them, preview and create another batch.",
    BatchState.DONE: "Done. The state of each retried settlement shows whether it was cancelled or aborted again.",
}


def batch_search_attributes(batch: Batch) -> TypedSearchAttributes:
    """Return the search attribute for the company, if the selection has one. There are no others."""
    company_id = batch.selection.company_id
    return TypedSearchAttributes([] if company_id is None else [SearchAttributePair(COMPANY_ID, str(company_id))])


def batch_summary(batch: Batch) -> str:
    """Return the workflow's summary for the list in the UI."""
    return f"retry {batch.count} aborted settlements, {batch.rate_per_s:g} a second, {batch.reason_code}"


def batch_details(batch: BatchInput, progress: BatchProgress) -> str:
    """Return the progress of the batch and the possible next step, as Markdown."""
    done = progress.retried + progress.refused + progress.failed
    counts = (
        f"{progress.retried} went back to CANCELLING; {progress.refused} were refused, because they were no longer "
        f"ABORTED; {progress.failed} did not answer; {progress.pending} are pending."
    )
    return "\n\n".join(
        [
            f"### {progress.state}: {done} of {done + progress.pending} settlements, {batch.rate_per_s:g} a second",
            counts,
            _WHAT_NEXT[progress.state],
            f"All settlements of this batch: `GET /v1/batch-retries/{batch.batch_id}/items`",
        ]
    )
