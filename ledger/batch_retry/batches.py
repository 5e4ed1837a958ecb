"""The record of batch retries: preview, creation, items and their outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.batch_retry.rows import batch_values, differences, preview_lines, to_batch, to_item
from ledger.engine import reader
from ledger.exposure import currency_totals
from ledger.security_events import inserted
from ledger.tables import batches
from ledger.transactions import insert, shielded_transaction
from settlement.amounts import amount_for, is_above
from settlement.batch_retry import (
    Batch,
    BatchItems,
    BatchPreview,
    BatchProgress,
    BatchRetryRequest,
    BatchSelection,
    BatchState,
    ItemOutcome,
)
from settlement.exposure import CurrencyTotal
from settlement.ids import SettlementId, new_batch_id
from settlement.scope import EVERYTHING, Scope
from settlement.security_events import SecurityEventKind
from settlement.states import State

BATCH_PAGE_MAX = 50
ITEM_PAGE_MAX = 200


NO_MAXIMUM: Mapping[str, str] = {}
"""No currency has a maximum sum."""


class KeyReusedError(Exception):
    """The idempotency key was used for another request of the same operator. Nothing was written."""

    def __init__(self, batch_id: str, fields: tuple[str, ...]) -> None:
        super().__init__(f"the key belongs to batch {batch_id}, which was created with other {', '.join(fields)}")
        self.batch_id = batch_id
        self.fields = fields
        """Names of the fields that differ, as in the request."""


class SelectionChangedError(Exception):
    """The selection does not have the expected number of ABORTED settlements. Nothing was written."""

    def __init__(self, count: int) -> None:
        super().__init__(f"the selection has {count} settlements now")
        self.count = count
        """Number of selected settlements; at most `BATCH_ITEMS_MAX` + 1, because more are not counted."""


class BatchSumError(Exception):
    """The sum of the batch in a currency is above its maximum. Nothing was written."""

    def __init__(self, count: int, above: CurrencyTotal, sum_max: str) -> None:
        super().__init__(f"{count} settlements have the sum {above.amount} {above.currency}, above {sum_max}")
        self.count = count
        """Number of settlements in the batch, of all currencies."""
        self.above = above
        self.sum_max = sum_max


@dataclass(frozen=True)
class CreatedBatch:
    """The batch of a create request: new, or created by an earlier identical request."""

    batch_id: str
    is_new: bool


@dataclass(frozen=True)
class PendingItem:
    """An item of a batch that has no outcome yet."""

    position: int
    settlement_id: SettlementId
    state: State
    """State of the settlement in the ledger."""
    retried: bool
    """Whether its audit already has this batch's retry, so that only the outcome is missing."""
    actions: int
    """Number of actions in its audit."""


class Batches:
    """The record of batches. Errors and their effects are as in `ledger.settlements.Ledger`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    @property
    def engine(self) -> AsyncEngine:
        """The engine of the database, for other records in the same database."""
        return self._engine

    @shielded_transaction
    async def preview(self, selection: BatchSelection, scope: Scope = EVERYTHING) -> BatchPreview:
        """Return count and sum of the absolute amounts of the selected ABORTED settlements in the scope, as of now."""
        async with self._reader.connect() as connection:
            found = (await connection.execute(queries.batches.preview(selection, scope))).all()
        return BatchPreview(
            count=sum(row.row_count for row in found),
            totals=currency_totals((row.currency, row.amount, row.row_count) for row in found),
            lines=preview_lines(found),
            oldest_accepted_at=min((row.oldest for row in found), default=None),
            newest_accepted_at=max((row.newest for row in found), default=None),
        )

    @shielded_transaction
    async def create(  # noqa: PLR0913 - the caller, and what the request names
        self,
        request: BatchRetryRequest,
        operator: str,
        at: datetime,
        *,
        key: str | None = None,
        key_id: str | None = None,
        sums_max: Mapping[str, str] = NO_MAXIMUM,
    ) -> CreatedBatch:
        """Create a batch with every selected ABORTED settlement, in order of acceptance. `key_id` is for the audit.

        Repeating the same request of the same operator with the same `key` changes nothing and returns the existing
        batch. A unique key of the database ensures that exactly one of many concurrent requests creates it. Without
        a key, every call creates a batch.

        Raises:
            KeyReusedError: the key was used for another request. Nothing is written.
            SelectionChangedError: the selection does not have `expected_count` settlements. Nothing is written.
            BatchSumError: a sum is above that of the request, or of `sums_max` (by currency, `*` for any other).
                Nothing is written.
        """
        batch_id = new_batch_id()
        statement = (
            insert(self._engine, batches)
            .values(batch_values(batch_id, request, operator, key, at) | {"key_id": key_id})
            .on_conflict_do_nothing(index_elements=[batches.c.operator, batches.c.idempotency_key])
            .returning(batches.c.batch_id)
        )
        async with self._engine.begin() as connection:
            if (await connection.execute(statement)).first() is not None:
                await connection.execute(queries.batches.add_items(batch_id, request.selection))
                count = (await connection.execute(queries.batches.item_count(batch_id))).scalar_one()
                if count != request.expected_count:
                    raise SelectionChangedError(count)
                items = (await connection.execute(queries.batches.item_counts([batch_id]))).all()
                _check_sums(items, (sums_max, request.sums_max or NO_MAXIMUM))
                started, detail = SecurityEventKind.BATCH_STARTED, f"{count} settlements: {request.note}"
                event = inserted(self._engine, started, batch_id, at, client=operator, key_id=key_id, detail=detail)
                await connection.execute(event)
                return CreatedBatch(batch_id, is_new=True)
            # Only the idempotency key can conflict, so it is not None.
            found = (await connection.execute(queries.batches.batch_of_key(operator, key or ""))).one()
        if fields := differences(found, request):
            raise KeyReusedError(found.batch_id, fields)
        return CreatedBatch(found.batch_id, is_new=False)

    @shielded_transaction
    async def pending(self, batch_id: str, limit: int) -> list[PendingItem]:
        """Return the next items without an outcome, in order; none if the batch is STOPPED or DONE."""
        async with self._reader.connect() as connection:
            found = (await connection.execute(queries.batches.pending_items(batch_id, limit))).all()
        return [
            PendingItem(row.position, row.settlement_id, State(row.state), row.retried, row.actions) for row in found
        ]

    @shielded_transaction
    async def write_outcome(
        self, batch_id: str, position: int, outcome: ItemOutcome, detail: str, at: datetime
    ) -> None:
        """Write the outcome of the retry of one settlement. The first outcome stays; repeating changes nothing."""
        values = {"outcome": outcome.value, "detail": detail, "at": at}
        async with self._engine.begin() as connection:
            await connection.execute(queries.batches.write_outcome(batch_id, position, values))

    @shielded_transaction
    async def end(
        self,
        batch_id: str,
        state: BatchState,
        at: datetime,
        *,
        operator: str | None = None,
        key_id: str | None = None,
    ) -> None:
        """Write the end of a batch, STOPPED or DONE. The first end stays; repeating changes nothing.

        `operator` is who stopped it; None if it ended by itself.
        """
        ended = queries.batches.end(batch_id, state, at).returning(batches.c.batch_id)
        async with self._engine.begin() as connection:
            if (await connection.execute(ended)).first() is not None and operator is not None:
                stopped = SecurityEventKind.BATCH_STOPPED
                event = inserted(self._engine, stopped, batch_id, at, client=operator, key_id=key_id)
                await connection.execute(event)

    @shielded_transaction
    async def progress(self, batch_id: str) -> BatchProgress:
        """Return a batch's settlements counted by outcome. A batch that the ledger does not have counts as STOPPED."""
        async with self._reader.connect() as connection:
            found = (await connection.execute(queries.batches.progress(batch_id))).all()
        state = BatchState(found[0].state) if found else BatchState.STOPPED
        return BatchProgress(state=state, **{row.outcome.lower(): row.row_count for row in found})

    @shielded_transaction
    async def find(self, batch_id: str, scope: Scope = EVERYTHING) -> Batch | None:
        """Return a batch with its progress; None if there is none with this id whose selection is in the scope."""
        found = await self._batches(queries.batches.batch(batch_id, scope))
        return found[0] if found else None

    @shielded_transaction
    async def newest(self, limit: int, scope: Scope = EVERYTHING) -> list[Batch]:
        """Return up to `limit` batches (at most `BATCH_PAGE_MAX`) whose selection is in the scope, newest first."""
        return await self._batches(queries.batches.newest_batches(min(limit, BATCH_PAGE_MAX), scope))

    @shielded_transaction
    async def running(self, limit: int) -> list[Batch]:
        """Return up to `limit` RUNNING batches, oldest first."""
        return await self._batches(queries.batches.running_batches(limit))

    @shielded_transaction
    async def items(self, batch_id: str, after: int, limit: int) -> BatchItems:
        """Return up to `limit` items of a batch (at most `ITEM_PAGE_MAX`) with a position above `after`."""
        limit = min(limit, ITEM_PAGE_MAX)
        async with self._reader.connect() as connection:
            found = (await connection.execute(queries.batches.item_page(batch_id, after, limit + 1))).all()
        items = tuple(to_item(row) for row in found[:limit])
        return BatchItems(items=items, next_after=items[-1].position if len(found) > limit else None)

    async def _batches(self, query: Select[Any]) -> list[Batch]:
        async with self._reader.connect() as connection:
            found = (await connection.execute(query)).all()
            counts = (await connection.execute(queries.batches.item_counts([row.batch_id for row in found]))).all()
        return [to_batch(row, [count for count in counts if count.batch_id == row.batch_id]) for row in found]


def _check_sums(items: Sequence[Row[Any]], maxima: Sequence[Mapping[str, str]]) -> None:
    """Raise BatchSumError if the sum of the items in a currency is above one of its maxima."""
    totals = currency_totals((row.currency, row.amount, row.row_count) for row in items)
    count = sum(total.count for total in totals)
    for total in totals:
        for maximum in (amount_for(each, total.currency) for each in maxima):
            if maximum is not None and is_above(total.amount, maximum):
                raise BatchSumError(count, total, maximum)
