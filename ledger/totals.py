"""Sums of money, exact: the one place where amounts become numbers, and only for reports."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Context, Decimal, Inexact

from contract.exposure import CurrencyTotal
from contract.fields import absolute

_EXACT = Context(prec=200, traps=[Inexact])
"""Far more digits than a sum of amounts can have; were one ever rounded, that is an error and no report."""


def exact_sum(amounts: Iterable[tuple[str, int]]) -> str:
    """Sum up (amount, how often), without signs, as a plain decimal string."""
    total = Decimal()
    for amount, count in amounts:
        total = _EXACT.fma(Decimal(absolute(amount)), Decimal(count), total)
    return f"{total:f}"


def currency_totals(amounts: Iterable[tuple[str, str, int]]) -> tuple[CurrencyTotal, ...]:
    """Sum up (currency, amount, how often), without signs, by currency in alphabetical order."""
    by_currency: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for currency, amount, count in amounts:
        by_currency[currency].append((amount, count))
    return tuple(
        CurrencyTotal(currency=currency, count=sum(count for _, count in counted), amount=exact_sum(counted))
        for currency, counted in sorted(by_currency.items())
    )
