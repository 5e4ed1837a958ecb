"""Conditions in SQL: a filter on settlements, the scope of an API key, and what a snapshot changes in a row."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, TextClause, and_, case, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ledger.chain import Head
from ledger.schema import OPEN, VOID_END
from ledger.tables import settlements
from settlement.calls import Rule
from settlement.scope import EVERYTHING, Scope
from settlement.states import END_STATES, CancelResult, State


class unindexed(FunctionElement[Any]):  # noqa: N801 - used like an SQL function
    """A column in a condition or grouping for which SQLite must not use an index.

    SQLite has no statistics here, so it cannot know which of several indexes finds fewer rows. A unary plus is its
    documented way to exclude an index. PostgreSQL has statistics and chooses itself.
    """

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(unindexed)
def _compile_default(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as SQLAlchemy declares it
    return compiler.process(element.clauses, **options)


@compiles(unindexed, "sqlite")
def _compile_sqlite(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - likewise
    return f"+{compiler.process(element.clauses, **options)}"


def in_scope(company_id: Column[Any], scope: Scope) -> list[ColumnElement[bool]]:
    """Return the condition that a row belongs to a company of the scope; none for the scope of everything.

    Another condition must find few rows: this one uses no index on SQLite.
    """
    return [] if scope.companies is None else [unindexed(company_id).in_(scope.companies)]


VOID_END_STATES = END_STATES - {State.SETTLED}
"""The states of `VOID_END`."""
_VOID_INDEXED = frozenset({"company_id", "system", "currency"})
"""Columns with a partial index `ix_settlements_void_of_…`, which has the state as its second column."""


@dataclass(frozen=True)
class SettlementFilter:
    """Filters combined with AND. Without any filter, all settlements match."""

    request_unique_no: str | None = None
    state: State | None = None
    order_id: int | None = None
    user_name: str | None = None
    company_id: int | None = None
    system: str | None = None
    currency: str | None = None
    cancel_result: CancelResult | None = None
    cause: Rule | None = None
    """The rule of the last external call of a settlement that is CANCELLING or ABORTED."""
    accepted_from: datetime | None = None
    accepted_before: datetime | None = None
    scope: Scope = EVERYTHING

    def by_company(self) -> "tuple[SettlementFilter, ...]":
        """Split a filter with a scope into filters that together match the same settlements, each by an index.

        Without a filter that matches few rows, each company of the scope is a filter of its own: its index then finds
        its newest settlements. Otherwise other companies' settlements would be read until a page is full. Returns an
        empty tuple if nothing can match, because the filter names a company outside the scope.
        """
        if self.scope.companies is None:
            return (self,)
        if self.company_id is not None:
            return (replace(self, scope=EVERYTHING),) if self.scope.includes(self.company_id) else ()
        first = next((column for column, _ in self._equalities()), None)
        if first is not None and first is not settlements.c.currency and self.state not in END_STATES:
            return (self,)
        return tuple(replace(self, company_id=each, scope=EVERYTHING) for each in self.scope.companies)

    def conditions(self) -> Iterator[ColumnElement[bool] | TextClause]:
        """Yield the conditions on `settlements`, beginning with the one that matches the fewest rows.

        On SQLite only the first one may use an index (see `unindexed`), and with it the state, if an index has both.
        The rows that it finds are read until a page is full, so a page is fast if the other conditions match many of
        them.
        """
        equalities = self._equalities()
        indexed = 1
        if self.state in VOID_END_STATES and equalities[0][0].name in _VOID_INDEXED:
            # The same words as in the partial index, so that it is used.
            yield VOID_END
            indexed = 2
        yield from (column == value for column, value in equalities[:indexed])
        yield from (unindexed(column) == value for column, value in equalities[indexed:])
        yield from in_scope(settlements.c.company_id, self.scope)
        if self.cause is not None:
            # The same words as in the partial index, so that it is used: few settlements are open, many have ended.
            yield OPEN
            yield unindexed(settlements.c.state) != State.ADJUSTING.value
        if self.accepted_from is not None:
            yield settlements.c.accepted_at >= self.accepted_from
        if self.accepted_before is not None:
            yield settlements.c.accepted_at < self.accepted_before

    def _equalities(self) -> list[tuple[Column[Any], object]]:
        """Return the columns to compare, beginning with the one that has the fewest rows for one value.

        Few settlements are open, but very many have ended in one state: it is the second one then, or the only one.
        """
        columns = settlements.c
        has_ended = self.state in END_STATES
        values: dict[Column[Any], object] = {
            columns.request_unique_no: self.request_unique_no,
            columns.order_id: self.order_id,
            columns.state: None if has_ended else self.state and self.state.value,
            columns.user_name: self.user_name,
            columns.cancel_result: self.cancel_result and self.cancel_result.value,
            columns.last_rule: self.cause and self.cause.value,
            columns.company_id: self.company_id,
            columns.system: self.system,
            columns.currency: self.currency,
        }
        found = [(column, value) for column, value in values.items() if value is not None]
        return [*found[:1], (columns.state, self.state.value), *found[1:]] if has_ended and self.state else found


NO_FILTER = SettlementFilter()


def is_replaced_by(
    version: ColumnElement[Any], state: ColumnElement[Any], updated_at: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Return the condition under which a snapshot replaces the row of its settlement.

    A higher version does. So does the same version with the same state and a later time: a workflow task that was lost
    may have written it before it was repeated (ADR 0023).
    """
    known = settlements.c
    return or_(
        known.version < version, and_(known.version == version, known.state == state, known.updated_at < updated_at)
    )


HEAD = tuple(each.name for each in fields(Head))
"""Columns of a settlement that say where the chain of its audit ends."""


def first_head(name: str, new: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the value of a column of `HEAD`: `new` if the settlement has no audit yet, else unchanged.

    So the first write of an audit needs no further statement. It is that of most settlements, which end with it.
    """
    columns = settlements.c
    value: ColumnElement[Any] = case((columns.chain_length == 0, new), else_=columns[name])
    return value
