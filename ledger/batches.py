"""Every SQL statement on batches: what a batch retry would touch, what it works on, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contract.batch import (
    BATCH_ITEMS_MAX,
    Batch,
    BatchItems,
    BatchOrder,
    BatchPreview,
    BatchProgress,
    BatchSelection,
    BatchState,
    ItemOutcome,
    item_note,
)
from contract.payloads import ActKind
from contract.states import State
from ledger.batch_rows import begun_values, preview_lines, to_batch, to_item
from ledger.engine import reader
from ledger.settlement_filter import SettlementFilter
from ledger.tables import batch_items, batches, operator_acts, settlements
from ledger.totals import currency_totals
from ledger.transactions import ends_by_itself

_TOLD = tuple(settlements.c[name] for name in ("company_id", "last_rule", "currency", "amount"))
"""What a preview tells settlements apart by; equal amounts are counted by the database."""
BATCH_PAGE_MAX = 50
ITEM_PAGE_MAX = 200


class SelectionChangedError(Exception):
    """A selection has another number of aborted settlements than was expected; nothing was written."""

    def __init__(self, count: int) -> None:
        super().__init__(f"the selection has {count} settlements now")
        self.count = count
        """At most one above `BATCH_ITEMS_MAX`: more are not counted."""


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
    """The record of batches. Errors, and what they leave behind, are as in `ledger.ledger.Ledger`."""

    def __init__(self, opened: AsyncEngine) -> None:
        self._engine = opened
        self._reader = reader(opened)

    @property
    def engine(self) -> AsyncEngine:
        """The database, for the other records that are kept in it."""
        return self._engine

    @ends_by_itself
    async def preview(self, selection: BatchSelection) -> BatchPreview:
        """Count and sum up, without signs, the aborted settlements of a selection, as they are at this moment."""
        by = settlements.c
        oldest, newest = func.min(by.accepted_at).label("oldest"), func.max(by.accepted_at).label("newest")
        query = select(*_TOLD, func.count().label("many"), oldest, newest).where(_chosen(selection)).group_by(*_TOLD)
        async with self._reader.connect() as connection:
            found = (await connection.execute(query)).all()
        return BatchPreview(
            count=sum(row.many for row in found),
            totals=currency_totals((row.currency, row.amount, row.many) for row in found),
            lines=preview_lines(found),
            oldest_accepted_at=min((row.oldest for row in found), default=None),
            newest_accepted_at=max((row.newest for row in found), default=None),
        )

    @ends_by_itself
    async def begin(self, batch_id: str, order: BatchOrder, operator: str, at: datetime) -> bool:
        """Write a batch with every aborted settlement of its selection, in order of acceptance; False: it is there.

        Repeating it changes nothing. Raises SelectionChangedError, and writes nothing, if there are not as many
        as expected.
        """
        counted = select(func.count()).where(batch_items.c.batch_id == batch_id)
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(batches).values(begun_values(batch_id, order, operator, at)))
                await connection.execute(_insert_items(batch_id, order.selection))
                count = (await connection.execute(counted)).scalar_one()
                if count != order.expected_count:
                    raise SelectionChangedError(count)
        except IntegrityError:
            return False
        return True

    @ends_by_itself
    async def pending(self, batch_id: str, limit: int) -> list[PendingItem]:
        """Return the next settlements without an outcome, in order; none once the batch is stopped or done."""
        act, by = operator_acts.c, batch_items.c
        note = batches.c.note + item_note(batch_id, "")
        same_act = and_(
            act.settlement_no == by.settlement_no, act.kind == ActKind.RETRY_CANCEL_ADJUST.value, act.note == note
        )
        query = (
            select(by.position, by.settlement_no, settlements.c.state, select(act.position).where(same_act).exists())
            .join(batches, batches.c.batch_id == by.batch_id)
            .join(settlements, settlements.c.request_unique_no == by.settlement_no)
            .where(
                by.batch_id == batch_id,
                by.outcome == ItemOutcome.PENDING.value,
                batches.c.state == BatchState.RUNNING.value,
            )
            .order_by(by.position)
            .limit(limit)
        )
        async with self._reader.connect() as connection:
            found = (await connection.execute(query)).all()
        return [PendingItem(position, number, State(state), retried) for position, number, state, retried in found]

    @ends_by_itself
    async def write_outcome(
        self, batch_id: str, position: int, outcome: ItemOutcome, detail: str, at: datetime
    ) -> None:
        """Write what the retry of one settlement came to. The first outcome stays; repeating changes nothing."""
        by = batch_items.c
        written = (
            update(batch_items)
            .where(by.batch_id == batch_id, by.position == position, by.outcome == ItemOutcome.PENDING.value)
            .values(outcome=outcome.value, detail=detail, at=at)
        )
        async with self._engine.begin() as connection:
            await connection.execute(written)

    @ends_by_itself
    async def end(self, batch_id: str, state: BatchState, at: datetime) -> None:
        """Write a batch's end, STOPPED or DONE. The first end stays; repeating changes nothing."""
        by = batches.c
        ended = (
            update(batches)
            .where(by.batch_id == batch_id, by.state == BatchState.RUNNING.value)
            .values(state=state.value, ended_at=at)
        )
        async with self._engine.begin() as connection:
            await connection.execute(ended)

    @ends_by_itself
    async def progress(self, batch_id: str) -> BatchProgress:
        """Count a batch's settlements by outcome. One that the ledger does not have (any more) counts as stopped."""
        query = (
            select(batches.c.state, batch_items.c.outcome, func.count().label("many"))
            .join(batch_items, batch_items.c.batch_id == batches.c.batch_id)
            .where(batches.c.batch_id == batch_id)
            .group_by(batches.c.state, batch_items.c.outcome)
        )
        async with self._reader.connect() as connection:
            found = (await connection.execute(query)).all()
        state = BatchState(found[0].state) if found else BatchState.STOPPED
        return BatchProgress(state=state, **{row.outcome.lower(): row.many for row in found})

    @ends_by_itself
    async def find(self, batch_id: str) -> Batch | None:
        """Return a batch and how far it has come; None: there is none."""
        found = await self._batches(select(batches).where(batches.c.batch_id == batch_id))
        return found[0] if found else None

    @ends_by_itself
    async def newest(self, limit: int) -> list[Batch]:
        """Return up to `limit` batches (at most `BATCH_PAGE_MAX`), newest first."""
        query = select(batches).order_by(batches.c.created_at.desc(), batches.c.batch_id.desc())
        return await self._batches(query.limit(min(limit, BATCH_PAGE_MAX)))

    @ends_by_itself
    async def running(self) -> list[Batch]:
        """Return every batch that has not ended, oldest first."""
        query = select(batches).where(batches.c.state == BatchState.RUNNING.value)
        return await self._batches(query.order_by(batches.c.created_at, batches.c.batch_id))

    @ends_by_itself
    async def items(self, batch_id: str, after: int, limit: int) -> BatchItems:
        """Return up to `limit` settlements of a batch (at most `ITEM_PAGE_MAX`) from behind a position."""
        limit = min(limit, ITEM_PAGE_MAX)
        by, of = batch_items.c, settlements.c
        query = (
            select(batch_items, of.state, of.cancel_result)
            .join(settlements, of.request_unique_no == by.settlement_no)
            .where(by.batch_id == batch_id, by.position > after)
            .order_by(by.position)
            .limit(limit + 1)
        )
        async with self._reader.connect() as connection:
            found = (await connection.execute(query)).all()
        items = tuple(to_item(row) for row in found[:limit])
        return BatchItems(items=items, next_after=items[-1].position if len(found) > limit else None)

    async def _batches(self, query: Select[Any]) -> list[Batch]:
        async with self._reader.connect() as connection:
            found = (await connection.execute(query)).all()
            counts = await _counts(connection, [row.batch_id for row in found])
        return [to_batch(row, [count for count in counts if count.batch_id == row.batch_id]) for row in found]


def _chosen(selection: BatchSelection) -> ColumnElement[bool]:
    where = SettlementFilter(
        state=State.ABORTED,
        company_id=selection.company_id,
        cause=selection.cause,
        accepted_from=selection.from_,
        accepted_before=selection.to,
    )
    return and_(*where.conditions())


def _insert_items(batch_id: str, selection: BatchSelection) -> Any:  # noqa: ANN401 - SQLAlchemy's Insert
    """Return the statement that writes all items; one more than allowed, so that too many are noticed."""
    by = settlements.c
    position = func.row_number().over(order_by=(by.accepted_at, by.request_unique_no))
    pending = literal(ItemOutcome.PENDING.value)
    chosen = select(literal(batch_id), position, by.request_unique_no, pending, literal("")).where(_chosen(selection))
    return insert(batch_items).from_select(
        ["batch_id", "position", "settlement_no", "outcome", "detail"], chosen.limit(BATCH_ITEMS_MAX + 1)
    )


async def _counts(connection: AsyncConnection, batch_ids: list[str]) -> Sequence[Row[Any]]:
    """Count the items of batches by all that a batch's answer tells of them."""
    by, of = batch_items.c, settlements.c
    told = (by.batch_id, by.outcome, of.state, of.currency, of.amount)
    query = (
        select(*told, func.count().label("many"))
        .join(settlements, of.request_unique_no == by.settlement_no)
        .where(by.batch_id.in_(batch_ids))
        .group_by(*told)
    )
    return (await connection.execute(query)).all()
