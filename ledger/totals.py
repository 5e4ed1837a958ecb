"""Sums of money, exact: the one place where amounts become numbers, and only for reports."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Context, Decimal, Inexact

from contract.exposure import CurrencyTotal
from contract.fields import absolute

_EXACT = Context(prec=200, traps=[Inexact])
"""Far more digits than a sum of amounts can have; were one ever rounded, that is an error and no report."""


def currency_totals(amounts: Iterable[tuple[str, str, int]]) -> tuple[CurrencyTotal, ...]:
    """Sum up (currency, amount, how often), without signs, by currency in alphabetical order."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    counts: defaultdict[str, int] = defaultdict(int)
    for currency, amount, count in amounts:
        sums[currency] = _EXACT.fma(Decimal(absolute(amount)), Decimal(count), sums[currency])
        counts[currency] += count
    return tuple(
        CurrencyTotal(currency=currency, count=counts[currency], amount=f"{sums[currency]:f}")
        for currency in sorted(sums)
    )
