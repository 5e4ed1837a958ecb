"""Money in doubt: what the external systems may hold although its order is void."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from contract.exposure import Age, Exposure, ExposureLine
from contract.states import State
from ledger import queries
from ledger.totals import currency_totals, exact_sum


async def read_exposure(connection: AsyncConnection, as_of: datetime) -> Exposure:
    """Read what is in doubt now; ages count from acceptance to `as_of`.

    The database counts equal amounts, and only adding them up is left to us: exactly, without signs.
    """
    found = (await connection.execute(queries.settlements.exposure(as_of))).all()
    groups: defaultdict[tuple[Any, ...], list[Row[Any]]] = defaultdict(list)
    for row in found:
        groups[row.currency, row.company_id, row.state, row.age].append(row)
    return Exposure(
        as_of=as_of,
        totals=currency_totals((row.currency, row.amount, row.many) for row in found),
        lines=tuple(_line(rows) for _, rows in sorted(groups.items(), key=_in_order)),
    )


def _line(rows: list[Row[Any]]) -> ExposureLine:
    first = rows[0]
    return ExposureLine(
        currency=first.currency,
        company_id=first.company_id,
        state=State(first.state),
        age=Age(first.age),
        count=sum(row.many for row in rows),
        amount=exact_sum((row.amount, row.many) for row in rows),
        oldest_accepted_at=min(row.oldest for row in rows),
    )


def _in_order(group: tuple[tuple[Any, ...], list[Row[Any]]]) -> tuple[str, bool, int, str, int]:
    """Order by currency, company (none first), state, and the oldest age first."""
    currency, company_id, state, age = group[0]
    return currency, company_id is not None, company_id or 0, state, -list(Age).index(Age(age))
