"""Which settlements: the one place where a search becomes SQL, for lists and for batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, TextClause
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ledger.schema import OPEN
from ledger.tables import settlements
from settlement.calls import Rule
from settlement.states import END_STATES, CancelResult, State


class residual(FunctionElement[Any]):  # noqa: N801 - used like a function of SQL
    """A column by which the rows that another condition has found are narrowed down or grouped.

    SQLite keeps no statistics, so it cannot know which of several indexes leads to fewer rows. The unary plus is its
    documented way to rule one out. PostgreSQL has statistics and is left to choose.
    """

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(residual)
def _plain(element: residual, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - the compiler's own
    return compiler.process(element.clauses, **options)


@compiles(residual, "sqlite")
def _without_index(element: residual, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - likewise
    return f"+{compiler.process(element.clauses, **options)}"


@dataclass(frozen=True)
class SettlementFilter:
    """Every part that is given must fit; nothing given: all of them."""

    request_unique_no: str | None = None
    state: State | None = None
    order_id: int | None = None
    user_name: str | None = None
    company_id: int | None = None
    currency: str | None = None
    cancel_result: CancelResult | None = None
    cause: Rule | None = None
    """The rule of the last external call of a settlement that is CANCELLING or ABORTED."""
    accepted_from: datetime | None = None
    accepted_before: datetime | None = None

    def conditions(self) -> Iterator[ColumnElement[bool] | TextClause]:
        """Yield what a row of `settlements` must fulfil: first the condition that leads to the fewest rows.

        On SQLite only that one chooses the index (see `residual`). On both databases the rows that it leads to are
        read until a page is full, so the others should be true of many of them.
        """
        equalities = self._equalities()
        yield from (column == value for column, value in equalities[:1])
        yield from (residual(column) == value for column, value in equalities[1:])
        if self.cause is not None:
            # In the index's own words: few settlements are open, and those that have ended grow without end.
            yield OPEN
            yield residual(settlements.c.state) != State.ADJUSTING.value
        if self.accepted_from is not None:
            yield settlements.c.accepted_at >= self.accepted_from
        if self.accepted_before is not None:
            yield settlements.c.accepted_at < self.accepted_before

    def _equalities(self) -> list[tuple[Column[Any], object]]:
        """Return the columns to compare, the one with the fewest rows for one value first.

        Of settlements that have not ended there are few; of those that have ended in one state, very many.
        """
        by = settlements.c
        has_ended = self.state in END_STATES
        equal: dict[Column[Any], object] = {
            by.request_unique_no: self.request_unique_no,
            by.order_id: self.order_id,
            by.state: None if has_ended else self.state and self.state.value,
            by.user_name: self.user_name,
            by.cancel_result: self.cancel_result and self.cancel_result.value,
            by.last_rule: self.cause and self.cause.value,
            by.company_id: self.company_id,
            by.currency: self.currency,
        }
        found = [(column, value) for column, value in equal.items() if value is not None]
        return [*found, (by.state, self.state.value)] if has_ended and self.state else found


EVERYTHING = SettlementFilter()
