"""Queries on settlements, their external calls, operator actions and state changes."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Select,
    String,
    Table,
    Update,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from ledger.filters import HEAD, SettlementFilter, first_head, in_scope, is_replaced_by, unindexed
from ledger.queries.table import merged, registered
from ledger.schema import OPEN
from ledger.tables import external_calls, operator_actions, settlements, state_changes
from settlement.calls import Rule
from settlement.exposure import AGE_LIMITS_S, Age, ExposureBy
from settlement.ids import SettlementId
from settlement.scope import EVERYTHING, Scope
from settlement.states import END_STATES, CancelResult, State

PageEnd = tuple[datetime, SettlementId]
"""Cursor of a page: acceptance time and id of its last settlement."""

_SAMPLE_TIME = datetime(2026, 1, 5, 12, tzinfo=UTC)
_SAMPLE_IDS = (SettlementId("alpha", "N-1"), SettlementId("alpha", "N-2"))
_SAMPLE_ID = _SAMPLE_IDS[0]
_SAMPLE_VALUES: dict[str, Any] = {
    "request_unique_no": "N-17",
    "order_id": 17,
    "user_name": "rare",
    "company_id": 17,
    "system": "rare",
    "currency": "ISK",
    "cancel_result": CancelResult.REVERSED,
    "cause": Rule.HTTP_STATUS,
    "accepted_from": _SAMPLE_TIME + timedelta(seconds=100),
    "accepted_before": _SAMPLE_TIME + timedelta(seconds=200),
}
"""A sample value for every filter except the state and the scope."""
_SAMPLE_SCOPES = (Scope((17,)), Scope((1, 2, 17)))


def _sample_filters() -> Iterator[SettlementFilter]:
    """Yield combinations of filters, each without a state, with open states and with end states.

    Up to four filters together, and all of them: every filter is so combined with every other one in every position.
    With a scope, every combination of at most two.
    """
    names = [each.name for each in fields(SettlementFilter) if each.name not in {"state", "scope"}]
    chosen = chain.from_iterable(combinations(names, count) for count in (*range(5), len(names)))
    for parts in chosen:
        sought = {name: _SAMPLE_VALUES[name] for name in parts}
        for state in (None, State.ABORTED, State.CANCELLING, State.EXPIRED, State.SETTLED):
            yield SettlementFilter(**sought, state=state)
            if len(parts) <= 2:  # noqa: PLR2004 - see the docstring
                yield from (SettlementFilter(**sought, state=state, scope=scope) for scope in _SAMPLE_SCOPES)


@registered(
    more=(
        (where, after, 51)
        for where in _sample_filters()
        if where.by_company()
        for after in (None, (_SAMPLE_TIME + timedelta(hours=1), _SAMPLE_ID))
    )
)
def page(where: SettlementFilter, after: PageEnd | None, limit: int) -> Select[Any]:
    """Return the settlements that match a filter, newest first, after the cursor `after`. Something must match it."""

    def order(columns: Any) -> tuple[ColumnElement[Any], ...]:  # noqa: ANN401 - SQLAlchemy's collection of columns
        return columns.accepted_at.desc(), columns.settlement_id.desc()

    def branch(part: SettlementFilter) -> Select[Any]:
        columns = settlements.c
        query = select(settlements).order_by(*order(columns)).where(*part.conditions())
        if after is not None:
            # A row-value comparison: with OR instead, no index could be used to seek to a deep page.
            query = query.where(tuple_(columns.accepted_at, columns.settlement_id) < after)
        return query.limit(limit)

    return merged([branch(part) for part in where.by_company()], order, limit)


@registered((_SAMPLE_ID,), (_SAMPLE_ID, Scope((1, 17))))
def settlement(settlement_id: SettlementId, scope: Scope = EVERYTHING) -> Select[Any]:
    """Return one settlement, if it is in the scope."""
    columns = settlements.c
    return select(settlements).where(columns.settlement_id == settlement_id, *in_scope(columns.company_id, scope))


@registered(("N-1", 20), ("N-1", 20, Scope((1, 17))))
def with_number(number: str, limit: int, scope: Scope = EVERYTHING) -> Select[Any]:
    """Return the ids of the settlements in the scope that have a number; each belongs to another external system."""
    columns = settlements.c
    found = select(columns.settlement_id).where(columns.request_unique_no == number)
    return found.where(*in_scope(columns.company_id, scope)).limit(limit)


@registered(("N-1", 17), ("N-1", None))
def of_company(number: str, company_id: int | None) -> Select[Any]:
    """Return the settlement that has this number of this company, whatever its external system; at most one."""
    columns = settlements.c
    return select(settlements).where(columns.request_unique_no == number, columns.company_id == company_id)


@registered((external_calls,), (operator_actions,), (state_changes,))
def audit_rows(table: Table) -> Select[Any]:
    """Return the rows of `settlement_ids`, a parameter, in one table of the audit, in order of position.

    Of rows with one position the last one is valid: the others were corrected. The statement is the same for all
    settlements, so it can be built once.
    """
    columns = table.c
    ids = bindparam("settlement_ids", _SAMPLE_IDS, columns.settlement_id.type, expanding=True)
    order = (columns.settlement_id, columns.position, columns.chain_position)
    return select(table).where(columns.settlement_id.in_(ids)).order_by(*order)


@registered((external_calls,), (operator_actions,), (state_changes,))
def recorded_rows(table: Table) -> Select[Any]:
    """Return the rows of a settlement in one table of the audit, as `audit_rows`, from a position on.

    The parameters are `recorded_id` and `first_position`.
    """
    columns = table.c
    query = select(table).where(
        columns.settlement_id == bindparam("recorded_id", _SAMPLE_ID, columns.settlement_id.type),
        columns.position >= bindparam("first_position", 0, Integer),
    )
    return query.order_by(columns.position, columns.chain_position)


@registered(())
def check() -> Select[Any]:
    """Return no row. It succeeds only if the database answers and has the ledger's tables."""
    return select(settlements.c.version).where(settlements.c.request_unique_no == "")


@registered((_SAMPLE_ID, "PROCEED"))
def conflicting_decision(settlement_id: SettlementId, decision: str | None) -> Select[Any]:
    """Return decision and state of a settlement if its decision differs from this one; else no row."""
    columns = settlements.c
    differs = columns.decision != literal(decision, String)
    return select(columns.decision, columns.state).where(columns.settlement_id == settlement_id, differs)


@registered((("reason",), "PROCEED"))
def record(changed: Sequence[str], decision: str | None = None) -> Update:
    """Update the columns `changed` of a settlement with a snapshot that replaces it, if it is at least `since_version`.

    The values are parameters: `recorded_id`, `since_version`, and `new_` with the name of each column. So the statement
    is the same for every settlement. A decision never changes.
    """
    columns = settlements.c
    new_decision = bindparam("new_decision", decision, String)
    not_older = update(settlements).where(
        columns.settlement_id == bindparam("recorded_id", _SAMPLE_ID, columns.settlement_id.type),
        columns.version >= bindparam("since_version", 0, Integer),
        is_replaced_by(
            bindparam("new_version", 0, Integer),
            bindparam("new_state", State.SETTLED.value, String),
            bindparam("new_updated_at", _SAMPLE_TIME, columns.updated_at.type),
        ),
        or_(columns.decision.is_(None), columns.decision == new_decision),
    )
    values: dict[str, Any] = {name: bindparam(f"new_{name}", None, columns[name].type) for name in changed}
    values |= {name: first_head(name, bindparam(f"new_{name}", None, columns[name].type)) for name in HEAD}
    return not_older.values(values | {"decision": new_decision}).returning(*(columns[name] for name in HEAD))


@registered(())
def move_head() -> Update:
    """Update the end of the chain of a settlement. The parameters are `recorded_id`, and `new_` with each column."""
    columns = settlements.c
    values = {name: bindparam(f"new_{name}", None, columns[name].type) for name in HEAD}
    found = columns.settlement_id == bindparam("recorded_id", _SAMPLE_ID, columns.settlement_id.type)
    return update(settlements).where(found).values(values)


@registered((_SAMPLE_IDS,))
def versions(settlement_ids: Sequence[SettlementId]) -> Select[Any]:
    """Return id and version of settlements."""
    columns = settlements.c
    return select(columns.settlement_id, columns.version).where(columns.settlement_id.in_(settlement_ids))


@registered((_SAMPLE_ID, 2))
def version_since(settlement_id: SettlementId, since_version: int) -> Select[Any]:
    """Return the version of a settlement if it is at least this one."""
    columns = settlements.c
    return select(columns.version).where(columns.settlement_id == settlement_id, columns.version >= since_version)


@registered((_SAMPLE_ID,), (_SAMPLE_ID, Scope((1, 17))))
def last_change(settlement_id: SettlementId, scope: Scope = EVERYTHING) -> Select[Any]:
    """Return the acceptance time and the state of a settlement, if it is in the scope."""
    columns = settlements.c
    found = select(columns.accepted_at, columns.state).where(columns.settlement_id == settlement_id)
    return found.where(*in_scope(columns.company_id, scope))


@registered((_SAMPLE_ID, -1, 500), (_SAMPLE_ID, 3, 500))
def changes(settlement_id: SettlementId, after: int, limit: int) -> Select[Any]:
    """Return the state changes of a settlement with a position above `after`, in order."""
    columns = state_changes.c
    query = select(state_changes).where(columns.settlement_id == settlement_id, columns.position > after)
    return query.order_by(columns.position, columns.chain_position).limit(limit)


_SUMMARY_COLUMNS = tuple(
    settlements.c[name] for name in ("settlement_id", "state", "version", "accepted_at", "updated_at", "input")
)


@registered((_SAMPLE_TIME, None, 100), (_SAMPLE_TIME, (_SAMPLE_TIME, _SAMPLE_ID), 100))
def open_summaries(unchanged_since: datetime, after: PageEnd | None, limit: int) -> Select[Any]:
    """Return summaries of open settlements that were last written before `unchanged_since`, oldest first."""
    columns = settlements.c
    query = select(*_SUMMARY_COLUMNS).where(OPEN, columns.updated_at < unchanged_since)
    if after is not None:
        query = query.where(tuple_(columns.accepted_at, columns.settlement_id) > after)
    return query.order_by(columns.accepted_at, columns.settlement_id).limit(limit)


@registered((_SAMPLE_IDS,))
def summaries(settlement_ids: Collection[SettlementId]) -> Select[Any]:
    """Return summaries of these settlements."""
    return select(*_SUMMARY_COLUMNS).where(settlements.c.settlement_id.in_(settlement_ids))


@registered(())
def open_by_state() -> Select[Any]:
    """Count the open settlements by state."""
    columns = settlements.c
    not_ended = [state.value for state in State if state not in END_STATES]
    return select(columns.state, func.count()).where(columns.state.in_(not_ended)).group_by(columns.state)


@registered(())
def oldest_cancelling() -> Select[Any]:
    """Return the acceptance time of the oldest CANCELLING settlement."""
    return select(func.min(settlements.c.accepted_at)).where(settlements.c.state == State.CANCELLING.value)


@registered(())
def in_doubt() -> Select[Any]:
    """Count the settlements in doubt and sum their absolute amounts, by currency."""
    columns = settlements.c
    amount = func.sum(func.abs(cast(columns.amount, Float))).label("amount")
    return (
        select(columns.currency, func.count().label("row_count"), amount)
        .where(columns.in_doubt)
        .group_by(unindexed(columns.currency))
    )


@registered(*((_SAMPLE_TIME, each, scope) for each in ExposureBy for scope in (EVERYTHING, *_SAMPLE_SCOPES)))
def exposure(as_of: datetime, lines_by: ExposureBy, scope: Scope = EVERYTHING) -> Select[Any]:
    """Count the settlements in doubt by currency, company, state, amount, and age or cause, with oldest acceptance."""
    columns = settlements.c
    limits = [
        (columns.accepted_at > as_of - timedelta(seconds=limit_s), age.value)
        for age, limit_s in AGE_LIMITS_S.items()
        if age is not Age.OLDER
    ]
    part = columns.last_rule if lines_by is ExposureBy.CAUSE else case(*limits, else_=Age.OLDER.value)
    group_columns = (columns.currency, columns.company_id, columns.state, part.label("part"), columns.amount)
    counted = select(*group_columns, func.count().label("row_count"), func.min(columns.accepted_at).label("oldest"))
    return counted.where(columns.in_doubt, *in_scope(columns.company_id, scope)).group_by(*group_columns)
