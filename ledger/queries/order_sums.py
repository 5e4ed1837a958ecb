"""Queries on the sums per hour of order limits. The limit and the currency are parameters, so each is built once."""

from typing import Any

from sqlalchemy import ColumnElement, Select, Update, and_, bindparam, extract, func, select, update

from ledger.queries.table import registered
from ledger.tables import order_sums


@registered(())
def sums_and_time() -> Select[Any]:
    """Return the sums of the last minutes of a limit, and the time of the database in seconds since 1970."""
    now_s = extract("epoch", func.now()).label("now_s")
    return select(order_sums.c.minutes, now_s).where(_of_limit())


@registered(("currency",))
def write(column: str) -> Update:
    """Write the parameter `new_value` into one column of a limit."""
    return (
        update(order_sums).where(_of_limit()).values({column: bindparam("new_value", None, order_sums.c[column].type)})
    )


def _of_limit() -> ColumnElement[bool]:
    columns = order_sums.c
    return and_(
        columns.limit_name == bindparam("of_limit", "largest-usd", columns.limit_name.type),
        columns.currency == bindparam("in_currency", "USD", columns.currency.type),
    )
