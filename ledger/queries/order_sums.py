"""Queries on the sums per hour of order limits."""

from typing import Any

from sqlalchemy import Select, Update, extract, func, select, update

from ledger.queries.table import registered
from ledger.tables import order_sums


@registered(("largest-usd", "USD"))
def sums_and_time(limit_name: str, currency: str) -> Select[Any]:
    """Return the sums of the last minutes, and the time of the database in seconds since 1970."""
    columns = order_sums.c
    now_s = extract("epoch", func.now()).label("now_s")
    return select(columns.minutes, now_s).where(columns.limit_name == limit_name, columns.currency == currency)


@registered(("largest-usd", "USD", {"currency": "USD"}))
def write_sums(limit_name: str, currency: str, values: dict[str, Any]) -> Update:
    """Write the sums of a limit; `values` has the new sums of the last minutes."""
    columns = order_sums.c
    of_limit = update(order_sums).where(columns.limit_name == limit_name, columns.currency == currency)
    return of_limit.values(values)
