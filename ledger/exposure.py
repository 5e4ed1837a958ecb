"""Reads the exposure: money that external systems may hold although the order is void."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Context, Decimal, Inexact
from typing import Any

from sqlalchemy import Connection, Row

from contract.fields import absolute
from ledger import queries
from settlement.calls import Rule
from settlement.exposure import Age, CurrencyTotal, Exposure, ExposureBy, ExposureLine
from settlement.scope import EVERYTHING, Scope
from settlement.states import State

_EXACT = Context(prec=200, traps=[Inexact])
"""More digits than any sum of amounts has. If a sum would be rounded, it raises an error instead."""


def read_exposure(connection: Connection, as_of: datetime, by: ExposureBy, scope: Scope = EVERYTHING) -> Exposure:
    """Return the money in doubt, with lines by age or by cause. The age is the time from acceptance to `as_of`.

    The database groups equal amounts; their absolute values are added here, exactly.
    """
    found = connection.execute(queries.settlements.exposure(as_of, by, scope)).all()
    groups: defaultdict[tuple[Any, ...], list[Row[Any]]] = defaultdict(list)
    for row in found:
        groups[row.currency, row.company_id, row.state, row.part].append(row)
    return Exposure(
        as_of=as_of,
        totals=currency_totals((row.currency, row.amount, row.row_count) for row in found),
        lines=tuple(_line(rows, by) for _, rows in sorted(groups.items(), key=_in_order)),
    )


def _line(rows: list[Row[Any]], by: ExposureBy) -> ExposureLine:
    first = rows[0]
    return ExposureLine(
        currency=first.currency,
        company_id=first.company_id,
        state=State(first.state),
        age=Age(first.part) if by is ExposureBy.AGE else None,
        cause=Rule(first.part) if by is ExposureBy.CAUSE and first.part else None,
        count=sum(row.row_count for row in rows),
        amount=exact_sum((row.amount, row.row_count) for row in rows),
        oldest_accepted_at=min(row.oldest for row in rows),
    )


def _in_order(group: tuple[tuple[Any, ...], list[Row[Any]]]) -> tuple[str, bool, int, str, int, str]:
    """Return the sort key: currency, company (null first), state, then oldest age first or cause by name."""
    currency, company_id, state, part = group[0]
    age = -list(Age).index(Age(part)) if part in set(Age) else 0
    return currency, company_id is not None, company_id or 0, state, age, part or ""


def exact_sum(amounts: Iterable[tuple[str, int]]) -> str:
    """Return the sum of absolute amounts from pairs (amount, count), as a plain decimal string."""
    total = Decimal()
    for amount, count in amounts:
        total = _EXACT.fma(Decimal(absolute(amount)), Decimal(count), total)
    return f"{total:f}"


def currency_totals(amounts: Iterable[tuple[str, str, int]]) -> tuple[CurrencyTotal, ...]:
    """Return the sums of absolute amounts from triples (currency, amount, count), by currency in order of name."""
    by_currency: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for currency, amount, count in amounts:
        by_currency[currency].append((amount, count))
    return tuple(
        CurrencyTotal(currency=currency, count=sum(count for _, count in counted), amount=exact_sum(counted))
        for currency, counted in sorted(by_currency.items())
    )
