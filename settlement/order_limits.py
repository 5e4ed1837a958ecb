"""Order limits: the largest amount of one order, and of all orders of one hour."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from settlement.amounts import is_above
from settlement.start import SettlementInput

LIMIT_NAME_LENGTH_MAX = 64
WINDOW_MINUTES = 60
"""An order counts in the sum per hour for at least this time, and for up to one minute more."""


class LimitKind(StrEnum):
    """The two amounts of a limit, with the names of the configuration."""

    PER_ORDER = "per_order"
    PER_HOUR = "per_hour"


@dataclass(frozen=True)
class OrderLimit:
    """One limit. It applies to the orders that fit client, company and currency; None fits every value.

    The sum per hour is one sum over all orders that the limit applies to, but separate for each currency.
    """

    name: str
    client: str | None = None
    company: int | None = None
    currency: str | None = None
    per_order: str | None = None
    per_hour: str | None = None

    def applies_to(self, settlement: SettlementInput) -> bool:
        """Return whether the limit applies to an order."""
        client = settlement.submitted_by and settlement.submitted_by.client
        wanted = (self.client, self.company, self.currency)
        given = (client, settlement.company_id, settlement.adjust.currency)
        return all(want is None or want == value for want, value in zip(wanted, given, strict=True))

    def amount(self, kind: LimitKind) -> str | None:
        """Return the amount of this kind; None if the limit has none."""
        return self.per_order if kind is LimitKind.PER_ORDER else self.per_hour


@dataclass(frozen=True)
class OrderLimits:
    """All limits of an installation. An order must be within each one that applies to it."""

    limits: Sequence[OrderLimit] = ()

    def applying_to(self, settlement: SettlementInput) -> tuple[OrderLimit, ...]:
        """Return the limits that apply to an order, by name: concurrent orders lock their sums in the same order."""
        return tuple(sorted(self._applying(settlement), key=lambda limit: limit.name))

    def _applying(self, settlement: SettlementInput) -> Iterator[OrderLimit]:
        return (limit for limit in self.limits if limit.applies_to(settlement))


class AmountLimitError(Exception):
    """An order is above a limit. Nothing was written."""

    def __init__(self, limit: OrderLimit, kind: LimitKind, currency: str) -> None:
        super().__init__(f"above {kind} of the order limit {limit.name}")
        self.limit = limit
        self.kind = kind
        self.currency = currency


def check_amount(settlement: SettlementInput, limits: Sequence[OrderLimit]) -> None:
    """Raise AmountLimitError if the amount of an order, without its sign, is above `per_order` of a limit."""
    adjust = settlement.adjust
    for limit in limits:
        if is_above(adjust.amount, limit.per_order):
            raise AmountLimitError(limit, LimitKind.PER_ORDER, adjust.currency)
