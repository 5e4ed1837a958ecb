"""The views of a batch, its items and its preview, and the exit code for its result."""

from cli.commands.exposure import totals_table
from cli.exits import Exit
from cli.rendering import Block, Fields, Row, Table, counts
from settlement.batch_retry import Batch, BatchItem, BatchPreview, BatchState, ItemOutcome
from settlement.states import State

BATCH_COLUMNS = ("batchId", "state", "count", "retried", "operator", "reasonCode", "createdAt", "endedAt", "note")
ITEM_COLUMNS = ("position", "requestUniqueNo", "system", "outcome", "state", "cancelResult", "at", "detail")


def preview_view(preview: BatchPreview) -> list[Block]:
    """Return the view of a preview: what a batch would retry."""
    fields = [
        ("count", preview.count),
        ("oldestAcceptedAt", preview.oldest_accepted_at),
        ("newestAcceptedAt", preview.newest_accepted_at),
    ]
    lines = [(line.company_id, line.cause, line.currency, line.count, line.amount) for line in preview.lines]
    by_company = Table(("companyId", "cause", "currency", "count", "amount"), lines, "by company and cause")
    return [Fields(fields), totals_table(preview.totals), by_company]


def batch_view(batch: Batch) -> list[Block]:
    """Return the view of a batch and its progress."""
    selection = batch.selection.model_dump(mode="json", exclude_none=True)
    fields = [
        ("batchId", batch.batch_id),
        ("state", batch.state),
        ("count", batch.count),
        ("outcomes", counts(batch.outcomes.items())),
        ("states", counts(batch.states.items())),
        ("operator", batch.operator),
        ("reasonCode", batch.reason_code),
        ("note", batch.note),
        ("selection", ", ".join(f"{name}={value}" for name, value in selection.items())),
        ("ratePerS", batch.rate_per_s),
        ("createdAt", batch.created_at),
        ("endedAt", batch.ended_at),
        ("temporalUiUrl", batch.temporal_ui_url),
    ]
    return [Fields(fields), totals_table(batch.totals)]


def batch_row(batch: Batch) -> Row:
    """Return the row of a batch for `BATCH_COLUMNS`."""
    retried = batch.outcomes.get(ItemOutcome.RETRIED, 0)
    return (
        batch.batch_id,
        batch.state,
        batch.count,
        retried,
        batch.operator,
        batch.reason_code,
        batch.created_at,
        batch.ended_at,
        batch.note,
    )


def item_row(item: BatchItem) -> Row:
    """Return the row of an item for `ITEM_COLUMNS`."""
    return (
        item.position,
        item.request_unique_no,
        item.system,
        item.outcome,
        item.state,
        item.cancel_result,
        item.at,
        item.detail,
    )


def processed_count(batch: Batch) -> int:
    """Return the number of settlements that are no longer pending, whatever their outcome."""
    return batch.count - batch.outcomes.get(ItemOutcome.PENDING, 0)


def is_finished(batch: Batch) -> bool:
    """Return whether the batch has ended and none of its settlements is still being cancelled."""
    return batch.state is not BatchState.RUNNING and not batch.states.get(State.CANCELLING, 0)


def exit_code_of(batch: Batch) -> Exit:
    """Return OK if every settlement was retried and none is aborted again, else BAD_RESULT."""
    all_retried = batch.outcomes.get(ItemOutcome.RETRIED, 0) == batch.count
    is_good = batch.state is BatchState.DONE and all_retried and not batch.states.get(State.ABORTED, 0)
    return Exit.OK if is_good else Exit.BAD_RESULT
