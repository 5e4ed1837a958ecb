"""The sums per hour of order limits: one row for each limit and currency, with one sum for each of the last minutes.

The row is locked while an order is accepted, so concurrent orders of several processes cannot exceed a limit together.
The time is the database's, the same for all processes.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection

from contract.fields import absolute
from ledger import queries
from ledger.exposure import exact_sum
from ledger.tables import order_sums
from ledger.transactions import insert_of
from settlement.amounts import is_above
from settlement.order_limits import WINDOW_MINUTES, AmountLimitError, LimitKind, OrderLimit, check_amount
from settlement.start import SettlementInput

_SECONDS = 60
# Built once: building them costs more than executing them.
_SUMS_AND_TIME, _WRITE_SUMS = queries.order_sums.sums_and_time(), queries.order_sums.write("minutes")


def count_new_order(connection: Connection, settlement: SettlementInput, limits: Sequence[OrderLimit]) -> None:
    """Add a new order to the sums of its limits, in the transaction that accepts it.

    `limits` must be sorted by name, so that two transactions never wait for each other. Raises AmountLimitError if the
    order is above a limit; the caller's transaction must then be rolled back.
    """
    check_amount(settlement, limits)
    for limit in limits:
        if limit.per_hour is not None:
            _add(connection, settlement, limit)


def _add(connection: Connection, settlement: SettlementInput, limit: OrderLimit) -> None:
    currency = settlement.adjust.currency
    row = {"limit_name": limit.name, "currency": currency, "minutes": {}}
    connection.execute(_lock_row(connection.dialect.name), row)
    of_limit = {"of_limit": limit.name, "in_currency": currency}
    found = connection.execute(_SUMS_AND_TIME, of_limit).one()
    minute = int(found.now_s) // _SECONDS
    sums = {each: amount for each, amount in found.minutes.items() if int(each) >= minute - WINDOW_MINUTES}
    amount = absolute(settlement.adjust.amount)
    if is_above(exact_sum((each, 1) for each in (*sums.values(), amount)), limit.per_hour):
        raise AmountLimitError(limit, LimitKind.PER_HOUR, currency)
    sums[str(minute)] = exact_sum((each, 1) for each in (sums.get(str(minute), "0"), amount))
    connection.execute(_WRITE_SUMS, {**of_limit, "new_value": sums})


@cache
def _lock_row(dialect: str) -> Any:  # noqa: ANN401 - as `insert_of`
    """Return the INSERT of a row that may exist. Its update changes nothing: it locks the row until the commit."""
    columns, statement = order_sums.c, insert_of(dialect, order_sums)
    return statement.on_conflict_do_update(
        index_elements=[columns.limit_name, columns.currency], set_={"limit_name": statement.excluded.limit_name}
    )
