"""Queries on batches."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Insert, Select, Update, and_, func, insert, literal, select, update

from ledger.filters import SettlementFilter
from ledger.queries.table import listed
from ledger.schema import PENDING, RUNNING
from ledger.tables import batch_items, batches, operator_actions, settlements
from settlement.batch_retry import BATCH_ITEMS_MAX, BatchSelection, BatchState, ItemOutcome
from settlement.calls import Rule
from settlement.states import State

_AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
_ID = "2f1c6f52-6d0e-4b52-9f0e-6c1f1f6f3f0b"
_SELECTIONS = (
    BatchSelection(company_id=1),
    BatchSelection(company_id=17),
    BatchSelection(cause=Rule.HTTP_STATUS),
    BatchSelection.model_validate({"from": _AT}),
    BatchSelection(to=_AT),
    BatchSelection(company_id=1, cause=Rule.HTTP_STATUS, to=_AT),
)


@listed(*((each,) for each in _SELECTIONS))
def preview(selection: BatchSelection) -> Select[Any]:
    """Count the aborted settlements of a selection by company, cause, currency and amount, with oldest and newest."""
    by = settlements.c
    oldest, newest = func.min(by.accepted_at).label("oldest"), func.max(by.accepted_at).label("newest")
    told = (by.company_id, by.last_rule, by.currency, by.amount)
    return select(*told, func.count().label("many"), oldest, newest).where(_chosen(selection)).group_by(*told)


@listed(*((_ID, each) for each in _SELECTIONS))
def add_items(batch_id: str, selection: BatchSelection) -> Insert:
    """Write an item for every aborted settlement of a selection, and one more than allowed if there are too many."""
    by = settlements.c
    position = func.row_number().over(order_by=(by.accepted_at, by.request_unique_no))
    pending = literal(ItemOutcome.PENDING.value)
    chosen = select(literal(batch_id), position, by.request_unique_no, pending, literal("")).where(_chosen(selection))
    return insert(batch_items).from_select(
        ["batch_id", "position", "settlement_no", "outcome", "detail"], chosen.limit(BATCH_ITEMS_MAX + 1)
    )


@listed((_ID,))
def item_count(batch_id: str) -> Select[Any]:
    """Count the items of a batch."""
    return select(func.count()).where(batch_items.c.batch_id == batch_id)


@listed((_ID, 10))
def pending_items(batch_id: str, limit: int) -> Select[Any]:
    """Return the next items without an outcome of a running batch, and whether the batch's act is in the audit."""
    act, by = operator_actions.c, batch_items.c
    same_act = and_(act.batch_id == batch_id, act.settlement_no == by.settlement_no)
    return (
        select(by.position, by.settlement_no, settlements.c.state, select(act.position).where(same_act).exists())
        .join(batches, batches.c.batch_id == by.batch_id)
        .join(settlements, settlements.c.request_unique_no == by.settlement_no)
        .where(by.batch_id == batch_id, PENDING, batches.c.state == BatchState.RUNNING.value)
        .order_by(by.position)
        .limit(limit)
    )


@listed((_ID, 1, {"outcome": "RETRIED", "detail": "", "at": _AT}))
def write_outcome(batch_id: str, position: int, values: dict[str, Any]) -> Update:
    """Write the outcome of an item that has none."""
    by = batch_items.c
    pending = by.outcome == ItemOutcome.PENDING.value
    return update(batch_items).where(by.batch_id == batch_id, by.position == position, pending).values(values)


@listed((_ID, BatchState.DONE, _AT))
def end(batch_id: str, state: BatchState, at: datetime) -> Update:
    """Write the end of a batch that runs."""
    by = batches.c
    running = update(batches).where(by.batch_id == batch_id, by.state == BatchState.RUNNING.value)
    return running.values(state=state.value, ended_at=at)


@listed((_ID,))
def progress(batch_id: str) -> Select[Any]:
    """Count the items of a batch by outcome, with the batch's state."""
    by = batch_items.c
    return (
        select(batches.c.state, by.outcome, func.count().label("many"))
        .join(batch_items, by.batch_id == batches.c.batch_id)
        .where(batches.c.batch_id == batch_id)
        .group_by(batches.c.state, by.outcome)
    )


@listed((_ID,))
def batch(batch_id: str) -> Select[Any]:
    """Return a batch."""
    return select(batches).where(batches.c.batch_id == batch_id)


@listed(("ops-1", "key-1"))
def batch_of_key(operator: str, key: str) -> Select[Any]:
    """Return the batch that a caller has begun under an idempotency key."""
    return select(batches).where(batches.c.operator == operator, batches.c.idempotency_key == key)


@listed((50,))
def newest_batches(limit: int) -> Select[Any]:
    """Return batches, newest first."""
    return select(batches).order_by(batches.c.created_at.desc(), batches.c.batch_id.desc()).limit(limit)


@listed((50,))
def running_batches(limit: int) -> Select[Any]:
    """Return batches that have not ended, oldest first."""
    return select(batches).where(RUNNING).order_by(batches.c.created_at, batches.c.batch_id).limit(limit)


@listed(([_ID],), ([_ID, "00000000-0000-4000-8000-000000000000"],))
def item_counts(batch_ids: Sequence[str]) -> Select[Any]:
    """Count the items of batches by all that a batch's answer tells of them."""
    by, of = batch_items.c, settlements.c
    told = (by.batch_id, by.outcome, of.state, of.currency, of.amount)
    return (
        select(*told, func.count().label("many"))
        .join(settlements, of.request_unique_no == by.settlement_no)
        .where(by.batch_id.in_(batch_ids))
        .group_by(*told)
    )


@listed((_ID, 0, 201), (_ID, 100, 201))
def item_page(batch_id: str, after: int, limit: int) -> Select[Any]:
    """Return items of a batch with their settlements' state, from behind a position."""
    by, of = batch_items.c, settlements.c
    return (
        select(batch_items, of.state, of.cancel_result)
        .join(settlements, of.request_unique_no == by.settlement_no)
        .where(by.batch_id == batch_id, by.position > after)
        .order_by(by.position)
        .limit(limit)
    )


def _chosen(selection: BatchSelection) -> ColumnElement[bool]:
    where = SettlementFilter(
        state=State.ABORTED,
        company_id=selection.company_id,
        cause=selection.cause,
        accepted_from=selection.from_,
        accepted_before=selection.to,
    )
    return and_(*where.conditions())
