"""The record of batches: what a batch retry would touch, what it works on, and the outcome for each settlement."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.batch_retry.rows import begun_values, differences, preview_lines, to_batch, to_item
from ledger.engine import reader
from ledger.exposure import currency_totals
from ledger.tables import batches
from ledger.transactions import insert, shielded_transaction
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
from settlement.ids import new_batch_id
from settlement.states import State

BATCH_PAGE_MAX = 50
ITEM_PAGE_MAX = 200


class KeyReusedError(Exception):
    """An idempotency key belongs to another request of the same operator; nothing was written."""

    def __init__(self, batch_id: str, fields: tuple[str, ...]) -> None:
        super().__init__(f"the key belongs to batch {batch_id}, which was begun with other {', '.join(fields)}")
        self.batch_id = batch_id
        self.fields = fields
        """Where the requests differ, as the request names it."""


class SelectionChangedError(Exception):
    """A selection has another number of aborted settlements than was expected; nothing was written."""

    def __init__(self, count: int) -> None:
        super().__init__(f"the selection has {count} settlements now")
        self.count = count
        """At most one above `BATCH_ITEMS_MAX`: more are not counted."""


@dataclass(frozen=True)
class Begun:
    """A batch that a request has begun, now or before."""

    batch_id: str
    is_new: bool


@dataclass(frozen=True)
class PendingItem:
    """A settlement whose retry by a batch has no outcome yet."""

    position: int
    number: str
    state: State
    """Where the ledger has it."""
    retried: bool
    """Whether its audit has this batch's act already: only the outcome is missing."""


class Batches:
    """The record of batches. Errors, and what they leave behind, are as in `ledger.settlements.Ledger`."""

    def __init__(self, opened: AsyncEngine) -> None:
        self._engine = opened
        self._reader = reader(opened)

    @property
    def engine(self) -> AsyncEngine:
        """The database, for the other records that are kept in it."""
        return self._engine

    @shielded_transaction
    async def preview(self, selection: BatchSelection) -> BatchPreview:
        """Count and sum up, without signs, the aborted settlements of a selection, as they are at this moment."""
        async with self._reader.connect() as connection:
            found = (await connection.execute(queries.batches.preview(selection))).all()
        return BatchPreview(
            count=sum(row.many for row in found),
            totals=currency_totals((row.currency, row.amount, row.many) for row in found),
            lines=preview_lines(found),
            oldest_accepted_at=min((row.oldest for row in found), default=None),
            newest_accepted_at=max((row.newest for row in found), default=None),
        )

    @shielded_transaction
    async def begin(self, order: BatchRetryRequest, operator: str, at: datetime, *, key: str | None = None) -> Begun:
        """Write a batch with every aborted settlement of its selection, in order of acceptance.

        The same order of the same operator under the same `key` again changes nothing and returns the batch that
        was begun: of many at once exactly one begins it, by a unique key of the database. Without a key every call
        begins a batch. Raises KeyReusedError for another order under the key, SelectionChangedError if there are
        not as many settlements as expected; either way nothing is written.
        """
        batch_id = new_batch_id()
        statement = (
            insert(self._engine, batches)
            .values(begun_values(batch_id, order, operator, key, at))
            .on_conflict_do_nothing(index_elements=[batches.c.operator, batches.c.idempotency_key])
            .returning(batches.c.batch_id)
        )
        async with self._engine.begin() as connection:
            if (await connection.execute(statement)).first() is not None:
                await connection.execute(queries.batches.add_items(batch_id, order.selection))
                count = (await connection.execute(queries.batches.item_count(batch_id))).scalar_one()
                if count != order.expected_count:
                    raise SelectionChangedError(count)
                return Begun(batch_id, is_new=True)
            # Only a key can conflict, so there is one.
            found = (await connection.execute(queries.batches.batch_of_key(operator, key or ""))).one()
        if fields := differences(found, order):
            raise KeyReusedError(found.batch_id, fields)
        return Begun(found.batch_id, is_new=False)

    @shielded_transaction
    async def pending(self, batch_id: str, limit: int) -> list[PendingItem]:
        """Return the next settlements without an outcome, in order; none once the batch is stopped or done."""
        async with self._reader.connect() as connection:
            found = (await connection.execute(queries.batches.pending_items(batch_id, limit))).all()
        return [PendingItem(position, number, State(state), retried) for position, number, state, retried in found]

    @shielded_transaction
    async def write_outcome(
        self, batch_id: str, position: int, outcome: ItemOutcome, detail: str, at: datetime
    ) -> None:
        """Write what the retry of one settlement came to. The first outcome stays; repeating changes nothing."""
        values = {"outcome": outcome.value, "detail": detail, "at": at}
        async with self._engine.begin() as connection:
            await connection.execute(queries.batches.write_outcome(batch_id, position, values))

    @shielded_transaction
    async def end(self, batch_id: str, state: BatchState, at: datetime) -> None:
        """Write a batch's end, STOPPED or DONE. The first end stays; repeating changes nothing."""
        async with self._engine.begin() as connection:
            await connection.execute(queries.batches.end(batch_id, state, at))

    @shielded_transaction
    async def progress(self, batch_id: str) -> BatchProgress:
        """Count a batch's settlements by outcome. One that the ledger does not have (any more) counts as stopped."""
        async with self._reader.connect() as connection:
            found = (await connection.execute(queries.batches.progress(batch_id))).all()
        state = BatchState(found[0].state) if found else BatchState.STOPPED
        return BatchProgress(state=state, **{row.outcome.lower(): row.many for row in found})

    @shielded_transaction
    async def find(self, batch_id: str) -> Batch | None:
        """Return a batch and how far it has come; None: there is none."""
        found = await self._batches(queries.batches.batch(batch_id))
        return found[0] if found else None

    @shielded_transaction
    async def newest(self, limit: int) -> list[Batch]:
        """Return up to `limit` batches (at most `BATCH_PAGE_MAX`), newest first."""
        return await self._batches(queries.batches.newest_batches(min(limit, BATCH_PAGE_MAX)))

    @shielded_transaction
    async def running(self, limit: int) -> list[Batch]:
        """Return up to `limit` batches that have not ended, oldest first."""
        return await self._batches(queries.batches.running_batches(limit))

    @shielded_transaction
    async def items(self, batch_id: str, after: int, limit: int) -> BatchItems:
        """Return up to `limit` settlements of a batch (at most `ITEM_PAGE_MAX`) from behind a position."""
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
