"""Queries on batches and their items."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Insert, Select, Update, and_, func, insert, literal, select, update

from ledger.filters import SettlementFilter, in_scope
from ledger.queries.table import merged, registered
from ledger.schema import PENDING, RUNNING
from ledger.tables import batch_items, batches, operator_actions, settlements
from settlement.batch_retry import BATCH_ITEMS_MAX, BatchSelection, BatchState, ItemOutcome
from settlement.calls import Rule
from settlement.scope import EVERYTHING, Scope
from settlement.states import State

_SAMPLE_TIME = datetime(2026, 1, 5, 12, tzinfo=UTC)
_SAMPLE_ID = "2f1c6f52-6d0e-4b52-9f0e-6c1f1f6f3f0b"
_SAMPLE_SCOPE = Scope((1, 17))
_SAMPLE_SELECTIONS = (
    BatchSelection(company_id=1),
    BatchSelection(company_id=17),
    BatchSelection(system="alpha"),
    BatchSelection(system="rare", cause=Rule.HTTP_STATUS),
    BatchSelection(cause=Rule.HTTP_STATUS),
    BatchSelection.model_validate({"from": _SAMPLE_TIME}),
    BatchSelection(to=_SAMPLE_TIME),
    BatchSelection(company_id=1, cause=Rule.HTTP_STATUS, to=_SAMPLE_TIME),
)


@registered(*((each, scope) for each in _SAMPLE_SELECTIONS for scope in (EVERYTHING, _SAMPLE_SCOPE)))
def preview(selection: BatchSelection, scope: Scope = EVERYTHING) -> Select[Any]:
    """Count the selected ABORTED settlements by company, cause, currency, amount, with oldest and newest acceptance."""
    columns = settlements.c
    oldest, newest = func.min(columns.accepted_at).label("oldest"), func.max(columns.accepted_at).label("newest")
    group_columns = (columns.company_id, columns.last_rule, columns.currency, columns.amount)
    return (
        select(*group_columns, func.count().label("row_count"), oldest, newest)
        .where(_selected(selection, scope))
        .group_by(*group_columns)
    )


@registered(*((_SAMPLE_ID, each) for each in _SAMPLE_SELECTIONS))
def add_items(batch_id: str, selection: BatchSelection) -> Insert:
    """Insert an item for every selected ABORTED settlement; at most one more than `BATCH_ITEMS_MAX`."""
    columns = settlements.c
    position = func.row_number().over(order_by=(columns.accepted_at, columns.settlement_id))
    pending = literal(ItemOutcome.PENDING.value)
    selected = select(literal(batch_id), position, columns.settlement_id, pending, literal("")).where(
        _selected(selection)
    )
    return insert(batch_items).from_select(
        ["batch_id", "position", "settlement_id", "outcome", "detail"], selected.limit(BATCH_ITEMS_MAX + 1)
    )


@registered((_SAMPLE_ID,))
def item_count(batch_id: str) -> Select[Any]:
    """Count the items of a batch."""
    return select(func.count()).where(batch_items.c.batch_id == batch_id)


@registered((_SAMPLE_ID, 10))
def pending_items(batch_id: str, limit: int) -> Select[Any]:
    """Return the next pending items of a RUNNING batch, whether each audit has this batch's retry, and its length."""
    action, columns = operator_actions.c, batch_items.c
    same_action = and_(action.batch_id == batch_id, action.settlement_id == columns.settlement_id)
    return (
        select(
            columns.position,
            columns.settlement_id,
            settlements.c.state,
            select(action.position).where(same_action).exists().label("retried"),
            # The oldest entries may be missing after a restored backup, so positions count and not rows.
            select(func.coalesce(func.max(action.position) + 1, 0))
            .where(action.settlement_id == columns.settlement_id)
            .scalar_subquery()
            .label("actions"),
        )
        .join(batches, batches.c.batch_id == columns.batch_id)
        .join(settlements, settlements.c.settlement_id == columns.settlement_id)
        .where(columns.batch_id == batch_id, PENDING, batches.c.state == BatchState.RUNNING.value)
        .order_by(columns.position)
        .limit(limit)
    )


@registered((_SAMPLE_ID, 1, {"outcome": "RETRIED", "detail": "", "at": _SAMPLE_TIME}))
def write_outcome(batch_id: str, position: int, values: dict[str, Any]) -> Update:
    """Update the outcome of a pending item."""
    columns = batch_items.c
    pending = columns.outcome == ItemOutcome.PENDING.value
    return update(batch_items).where(columns.batch_id == batch_id, columns.position == position, pending).values(values)


@registered((_SAMPLE_ID, BatchState.DONE, _SAMPLE_TIME))
def end(batch_id: str, state: BatchState, at: datetime) -> Update:
    """Update the state and end of a RUNNING batch."""
    columns = batches.c
    running = update(batches).where(columns.batch_id == batch_id, columns.state == BatchState.RUNNING.value)
    return running.values(state=state.value, ended_at=at)


@registered((_SAMPLE_ID,))
def progress(batch_id: str) -> Select[Any]:
    """Count the items of a batch by outcome, with the batch's state."""
    columns = batch_items.c
    return (
        select(batches.c.state, columns.outcome, func.count().label("row_count"))
        .join(batch_items, columns.batch_id == batches.c.batch_id)
        .where(batches.c.batch_id == batch_id)
        .group_by(batches.c.state, columns.outcome)
    )


@registered((_SAMPLE_ID,), (_SAMPLE_ID, _SAMPLE_SCOPE))
def batch(batch_id: str, scope: Scope = EVERYTHING) -> Select[Any]:
    """Return one batch, if its selection is in the scope."""
    return select(batches).where(batches.c.batch_id == batch_id, *in_scope(batches.c.company_id, scope))


@registered(("ops-1", "key-1"))
def batch_of_key(operator: str, key: str) -> Select[Any]:
    """Return the batch that an operator created with this idempotency key."""
    return select(batches).where(batches.c.operator == operator, batches.c.idempotency_key == key)


@registered((50,), (50, Scope((1,))), (50, _SAMPLE_SCOPE))
def newest_batches(limit: int, scope: Scope = EVERYTHING) -> Select[Any]:
    """Return batches whose selection is in the scope, newest first."""

    def order(columns: Any) -> tuple[ColumnElement[Any], ...]:  # noqa: ANN401 - SQLAlchemy's collection of columns
        return columns.created_at.desc(), columns.batch_id.desc()

    newest = select(batches).order_by(*order(batches.c)).limit(limit)
    if scope.companies is None:
        return newest
    return merged([newest.where(batches.c.company_id == each) for each in scope.companies], order, limit)


@registered((50,))
def running_batches(limit: int) -> Select[Any]:
    """Return RUNNING batches, oldest first."""
    return select(batches).where(RUNNING).order_by(batches.c.created_at, batches.c.batch_id).limit(limit)


@registered(([_SAMPLE_ID],), ([_SAMPLE_ID, "00000000-0000-4000-8000-000000000000"],))
def item_counts(batch_ids: Sequence[str]) -> Select[Any]:
    """Count the items of batches by outcome, and by their settlements' state, currency and amount."""
    items, columns = batch_items.c, settlements.c
    group_columns = (items.batch_id, items.outcome, columns.state, columns.currency, columns.amount)
    return (
        select(*group_columns, func.count().label("row_count"))
        .join(settlements, columns.settlement_id == items.settlement_id)
        .where(items.batch_id.in_(batch_ids))
        .group_by(*group_columns)
    )


@registered((_SAMPLE_ID, 0, 201), (_SAMPLE_ID, 100, 201))
def item_page(batch_id: str, after: int, limit: int) -> Select[Any]:
    """Return the items of a batch with a position above `after`, with their settlements' state."""
    items, columns = batch_items.c, settlements.c
    return (
        select(batch_items, columns.state, columns.cancel_result)
        .join(settlements, columns.settlement_id == items.settlement_id)
        .where(items.batch_id == batch_id, items.position > after)
        .order_by(items.position)
        .limit(limit)
    )


def _selected(selection: BatchSelection, scope: Scope = EVERYTHING) -> ColumnElement[bool]:
    where = SettlementFilter(
        state=State.ABORTED,
        system=selection.system,
        company_id=selection.company_id,
        cause=selection.cause,
        accepted_from=selection.from_,
        accepted_before=selection.to,
        scope=scope,
    )
    return and_(*where.conditions())
