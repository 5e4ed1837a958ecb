"""Queries on settlements, their calls, acts and state changes."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    String,
    Table,
    Update,
    case,
    cast,
    func,
    literal,
    select,
    tuple_,
    update,
)

from ledger.filters import SettlementFilter, residual
from ledger.queries.table import listed
from ledger.schema import OPEN
from ledger.tables import external_calls, operator_actions, settlements, state_changes
from settlement.calls import Rule
from settlement.exposure import AGE_LIMITS_S, Age, ExposureBy
from settlement.states import END_STATES, CancelResult, State

Place = tuple[datetime, str]
"""Where a page ended: moment of acceptance and number."""

_AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
_SOUGHT: dict[str, Any] = {
    "request_unique_no": "N-17",
    "order_id": 17,
    "user_name": "rare",
    "company_id": 17,
    "currency": "ISK",
    "cancel_result": CancelResult.REVERSED,
    "cause": Rule.HTTP_STATUS,
    "accepted_from": _AT + timedelta(seconds=100),
    "accepted_before": _AT + timedelta(seconds=200),
}
"""For every part of a filter but the state, a value to look for."""


def _filters() -> Iterator[SettlementFilter]:
    """Yield every combination of the parts of a filter, also with states that are open or have ended."""
    names = [each.name for each in fields(SettlementFilter) if each.name != "state"]
    chosen = chain.from_iterable(combinations(names, count) for count in range(len(names) + 1))
    for parts in chosen:
        sought = {name: _SOUGHT[name] for name in parts}
        for state in (None, State.ABORTED, State.CANCELLING, State.SETTLED):
            yield SettlementFilter(**sought, state=state)


@listed(more=((where, after, 51) for where in _filters() for after in (None, (_AT + timedelta(hours=1), "N-1"))))
def page(where: SettlementFilter, after: Place | None, limit: int) -> Select[Any]:
    """Return the settlements that a filter means, newest first, from behind `after`."""
    by = settlements.c
    query = select(settlements).order_by(by.accepted_at.desc(), by.request_unique_no.desc()).where(*where.conditions())
    if after is not None:
        # One comparison of pairs: taken apart with OR, no index would lead straight to a deep page.
        query = query.where(tuple_(by.accepted_at, by.request_unique_no) < after)
    return query.limit(limit)


@listed(("N-1",))
def settlement(number: str) -> Select[Any]:
    """Return one settlement."""
    return select(settlements).where(settlements.c.request_unique_no == number)


@listed(*((table, ["N-1", "N-2"]) for table in (external_calls, operator_actions, state_changes)))
def parts(table: Table, numbers: Sequence[str]) -> Select[Any]:
    """Return the rows of settlements in a table of calls, acts or state changes, in order."""
    by = table.c
    return select(table).where(by.settlement_no.in_(numbers)).order_by(by.settlement_no, by.position)


@listed(())
def check() -> Select[Any]:
    """Read nothing, by the primary key: the answer tells that the database answers and has the ledger's tables."""
    return select(settlements.c.version).where(settlements.c.request_unique_no == "")


@listed(("N-1", "PROCEED"))
def other_decision(number: str, decision: str | None) -> Select[Any]:
    """Return decision and state of a settlement whose decision is another than this one; None: none is another."""
    by = settlements.c
    differs = by.decision != literal(decision, String)
    return select(by.decision, by.state).where(by.request_unique_no == number, differs)


@listed(("N-1", settlements.c.version < 3, {"reason": ""}))  # noqa: PLR2004 - any version
def record(number: str, newer: ColumnElement[bool], values: dict[str, Any]) -> Update:
    """Write a snapshot of a settlement if it is newer than what is there, as a condition says."""
    by = settlements.c
    return update(settlements).where(by.request_unique_no == number, newer).values(values).returning(by.version)


@listed((["N-1", "N-2"],))
def versions(numbers: Sequence[str]) -> Select[Any]:
    """Return number and version of settlements."""
    by = settlements.c
    return select(by.request_unique_no, by.version).where(by.request_unique_no.in_(numbers))


@listed(("N-1", 2))
def version_since(number: str, since_version: int) -> Select[Any]:
    """Return the version of a settlement if it is at least this one."""
    by = settlements.c
    return select(by.version).where(by.request_unique_no == number, by.version >= since_version)


@listed(("N-1",))
def last_change(number: str) -> Select[Any]:
    """Return when a settlement was accepted and its state."""
    by = settlements.c
    return select(by.accepted_at, by.state).where(by.request_unique_no == number)


@listed(("N-1", -1, 500), ("N-1", 3, 500))
def changes(number: str, after: int, limit: int) -> Select[Any]:
    """Return the state changes of a settlement behind a position, in order."""
    by = state_changes.c
    query = select(state_changes).where(by.settlement_no == number, by.position > after)
    return query.order_by(by.position).limit(limit)


_STANDING = tuple(
    settlements.c[name] for name in ("request_unique_no", "state", "version", "accepted_at", "updated_at", "input")
)


@listed((_AT, None, 100), (_AT, (_AT, "N-1"), 100))
def open_summaries(untouched_since: datetime, after: Place | None, limit: int) -> Select[Any]:
    """Return where settlements stand that have not ended and were not written to since, oldest first."""
    by = settlements.c
    query = select(*_STANDING).where(OPEN, by.updated_at < untouched_since)
    if after is not None:
        query = query.where(tuple_(by.accepted_at, by.request_unique_no) > after)
    return query.order_by(by.accepted_at, by.request_unique_no).limit(limit)


@listed((["N-1", "N-2"],))
def standings(numbers: Collection[str]) -> Select[Any]:
    """Return where these settlements stand."""
    return select(*_STANDING).where(settlements.c.request_unique_no.in_(numbers))


@listed(())
def open_by_state() -> Select[Any]:
    """Count the settlements that have not ended, by state."""
    by = settlements.c
    not_ended = [state.value for state in State if state not in END_STATES]
    return select(by.state, func.count()).where(by.state.in_(not_ended)).group_by(by.state)


@listed(())
def oldest_cancelling() -> Select[Any]:
    """Return when the oldest settlement that is CANCELLING was accepted."""
    return select(func.min(settlements.c.accepted_at)).where(settlements.c.state == State.CANCELLING.value)


@listed(())
def in_doubt() -> Select[Any]:
    """Count and sum up, without signs, the settlements in doubt by currency."""
    by = settlements.c
    amount = func.sum(func.abs(cast(by.amount, Float))).label("amount")
    return select(by.currency, func.count().label("count_"), amount).where(by.in_doubt).group_by(residual(by.currency))


@listed(*((_AT, each) for each in ExposureBy))
def exposure(as_of: datetime, lines_by: ExposureBy) -> Select[Any]:
    """Count the settlements in doubt by currency, company, state, age or cause, and amount, with the oldest."""
    by = settlements.c
    limits = [
        (by.accepted_at > as_of - timedelta(seconds=limit_s), age.value)
        for age, limit_s in AGE_LIMITS_S.items()
        if age is not Age.OLDER
    ]
    part = by.last_rule if lines_by is ExposureBy.CAUSE else case(*limits, else_=Age.OLDER.value)
    told = (by.currency, by.company_id, by.state, part.label("part"), by.amount)
    counted = select(*told, func.count().label("many"), func.min(by.accepted_at).label("oldest"))
    return counted.where(by.in_doubt).group_by(*told)
