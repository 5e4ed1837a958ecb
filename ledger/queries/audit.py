"""Queries of the verification of the audit: settlements by acceptance time, rows by the time of writing."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, Table, select, tuple_

from ledger.queries.table import registered
from ledger.tables import external_calls, operator_actions, settlements, state_changes
from settlement.ids import SettlementId

_SAMPLE_TIME = datetime(2026, 1, 5, 12, tzinfo=UTC)
_SAMPLE_LATER = datetime(2026, 1, 5, 13, tzinfo=UTC)
_SAMPLE_ID = SettlementId("alpha", "N-1")


@registered((_SAMPLE_TIME, _SAMPLE_LATER, None, 100), (_SAMPLE_TIME, _SAMPLE_LATER, (_SAMPLE_TIME, _SAMPLE_ID), 100))
def accepted(start: datetime, before: datetime, after: tuple[datetime, SettlementId] | None, limit: int) -> Select[Any]:
    """Return settlements that were accepted from `start` until `before`, oldest first, after the cursor `after`."""
    columns = settlements.c
    query = select(settlements).where(columns.accepted_at >= start, columns.accepted_at < before)
    if after is not None:
        query = query.where(tuple_(columns.accepted_at, columns.settlement_id) > after)
    return query.order_by(columns.accepted_at, columns.settlement_id).limit(limit)


@registered(())
def first_accepted() -> Select[Any]:
    """Return the acceptance time of the oldest settlement."""
    return select(settlements.c.accepted_at).order_by(settlements.c.accepted_at, settlements.c.settlement_id).limit(1)


@registered(
    *(
        (table, _SAMPLE_TIME, _SAMPLE_LATER, after, 1000)
        for table in (external_calls, operator_actions, state_changes)
        for after in (None, (_SAMPLE_TIME, _SAMPLE_ID, 1))
    )
)
def written(
    table: Table, start: datetime, before: datetime, after: tuple[datetime, SettlementId, int] | None, limit: int
) -> Select[Any]:
    """Return place, time and hash of the rows of a table of the audit that were written from `start` until `before`.

    Oldest first, after the cursor `after`.
    """
    columns = table.c
    order = (columns.recorded_at, columns.settlement_id, columns.chain_position)
    query = select(*order, columns.row_hash).where(columns.recorded_at >= start, columns.recorded_at < before)
    if after is not None:
        query = query.where(tuple_(*order) > after)
    return query.order_by(*order).limit(limit)
