"""The sums per hour of order limits: one row for each limit and currency, with one sum for each of the last minutes.

The row is locked while an order is accepted, so concurrent orders of several processes cannot exceed a limit together.
The time is the database's, the same for all processes.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contract.fields import absolute
from ledger import queries
from ledger.exposure import exact_sum
from ledger.tables import order_sums
from ledger.transactions import insert
from settlement.amounts import is_above
from settlement.order_limits import WINDOW_MINUTES, AmountLimitError, LimitKind, OrderLimit, check_amount
from settlement.start import SettlementInput

_SECONDS = 60


async def count_new_order(
    engine: AsyncEngine, connection: AsyncConnection, settlement: SettlementInput, limits: Sequence[OrderLimit]
) -> None:
    """Add a new order to the sums of its limits, in the transaction that accepts it.

    `limits` must be sorted by name, so that two transactions never wait for each other. Raises AmountLimitError if the
    order is above a limit; the caller's transaction must then be rolled back.
    """
    check_amount(settlement, limits)
    for limit in limits:
        if limit.per_hour is not None:
            await _add(engine, connection, settlement, limit)


async def _add(
    engine: AsyncEngine, connection: AsyncConnection, settlement: SettlementInput, limit: OrderLimit
) -> None:
    columns, currency = order_sums.c, settlement.adjust.currency
    statement = insert(engine, order_sums).values(limit_name=limit.name, currency=currency, minutes={})
    # The update changes nothing: it locks the row until the end of the transaction.
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[columns.limit_name, columns.currency], set_={"limit_name": statement.excluded.limit_name}
        )
    )
    found = (await connection.execute(queries.order_sums.sums_and_time(limit.name, currency))).one()
    minute = int(found.now_s) // _SECONDS
    sums = {each: amount for each, amount in found.minutes.items() if int(each) >= minute - WINDOW_MINUTES}
    amount = absolute(settlement.adjust.amount)
    if is_above(exact_sum((each, 1) for each in (*sums.values(), amount)), limit.per_hour):
        raise AmountLimitError(limit, LimitKind.PER_HOUR, currency)
    sums[str(minute)] = exact_sum((each, 1) for each in (sums.get(str(minute), "0"), amount))
    await connection.execute(queries.order_sums.write_sums(limit.name, currency, {"minutes": sums}))
