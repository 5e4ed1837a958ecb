"""Which settlements: the one place where a search becomes SQL, for lists and for batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, TextClause

from contract.calls import Rule
from contract.states import CancelResult, State
from ledger.tables import OPEN, settlements


@dataclass(frozen=True)
class SettlementFilter:
    """Every part that is given must fit; nothing given: all of them."""

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
        """Yield what a row of `settlements` must fulfil."""
        by = settlements.c
        equal = {
            by.state: self.state and self.state.value,
            by.order_id: self.order_id,
            by.user_name: self.user_name,
            by.company_id: self.company_id,
            by.currency: self.currency,
            by.cancel_result: self.cancel_result and self.cancel_result.value,
            by.last_rule: self.cause and self.cause.value,
        }
        yield from (column == value for column, value in equal.items() if value is not None)
        if self.cause is not None:
            # In the index's own words: what has not ended is few, and what has ended grows for ever.
            yield OPEN
            yield by.state != State.ADJUSTING.value
        if self.accepted_from is not None:
            yield by.accepted_at >= self.accepted_from
        if self.accepted_before is not None:
            yield by.accepted_at < self.accepted_before


EVERYTHING = SettlementFilter()
