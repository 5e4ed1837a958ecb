"""How a batch is shown, and how it ended."""

from cli.commands.exposure import totals_table
from cli.exits import Exit
from cli.rendering import Block, Fields, Row, Table
from cli.text import counts
from settlement.batch_retry import Batch, BatchItem, BatchPreview, BatchState, ItemOutcome
from settlement.states import State

BATCH_COLUMNS = ("batchId", "state", "count", "retried", "operator", "reasonCode", "createdAt", "endedAt", "note")
ITEM_COLUMNS = ("position", "requestUniqueNo", "outcome", "state", "cancelResult", "at", "detail")


def preview_view(preview: BatchPreview) -> list[Block]:
    """Return what a batch would touch."""
    fields = [
        ("count", preview.count),
        ("oldestAcceptedAt", preview.oldest_accepted_at),
        ("newestAcceptedAt", preview.newest_accepted_at),
    ]
    lines = [(line.company_id, line.cause, line.currency, line.count, line.amount) for line in preview.lines]
    broken_down = Table(("companyId", "cause", "currency", "count", "amount"), lines, "by company and cause")
    return [Fields(fields), totals_table(preview.totals), broken_down]


def batch_view(batch: Batch) -> list[Block]:
    """Return a batch and how far it has come."""
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
    """Return a batch's row under `BATCH_COLUMNS`."""
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
    """Return an item's row under `ITEM_COLUMNS`."""
    return (
        item.position,
        item.request_unique_no,
        item.outcome,
        item.state,
        item.cancel_result,
        item.at,
        item.detail,
    )


def tried(batch: Batch) -> int:
    """Count the settlements that the batch is through with, whatever came of it."""
    return batch.count - batch.outcomes.get(ItemOutcome.PENDING, 0)


def at_rest(batch: Batch) -> bool:
    """Tell whether nothing more happens by itself: the batch has ended, and so have the compensations it began."""
    return batch.state is not BatchState.RUNNING and not batch.states.get(State.CANCELLING, 0)


def how_it_ended(batch: Batch) -> Exit:
    """Return OK if every settlement was retried and none is aborted again."""
    all_retried = batch.outcomes.get(ItemOutcome.RETRIED, 0) == batch.count
    good = batch.state is BatchState.DONE and all_retried and not batch.states.get(State.ABORTED, 0)
    return Exit.OK if good else Exit.BAD
