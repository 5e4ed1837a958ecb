"""Types of the exposure report: money that external systems may hold although the order is void."""

from datetime import datetime
from enum import StrEnum

from contract.model import Model
from settlement.calls import Rule
from settlement.states import State


class Age(StrEnum):
    """Time since a settlement was accepted, in classes."""

    UNDER_1_MINUTE = "<1m"
    UNDER_10_MINUTES = "<10m"
    UNDER_1_HOUR = "<1h"
    UNDER_1_DAY = "<1d"
    OLDER = ">=1d"


AGE_LIMITS_S: dict[Age, float] = {
    Age.UNDER_1_MINUTE: 60,
    Age.UNDER_10_MINUTES: 600,
    Age.UNDER_1_HOUR: 3_600,
    Age.UNDER_1_DAY: 86_400,
    Age.OLDER: float("inf"),
}


class ExposureBy(StrEnum):
    """The last grouping column of the exposure lines, after currency, company and state."""

    AGE = "age"
    CAUSE = "cause"


class ExposureLine(Model):
    """The settlements in doubt of one currency, company and state, and of one age or cause (the other one is null)."""

    currency: str
    company_id: int | None
    state: State
    """CANCELLING (after an adjust that was not REJECTED) or ABORTED."""
    age: Age | None
    cause: Rule | None = None
    """The rule of the last external call; null also if no call was made."""
    count: int
    amount: str
    """Sum of the absolute amounts: a deduction in doubt does not offset a credit in doubt."""
    oldest_accepted_at: datetime


class CurrencyTotal(Model):
    """All settlements in doubt in one currency."""

    currency: str
    count: int
    amount: str


class Exposure(Model):
    """Money in doubt at the time `as_of`, as the ledger has it."""

    as_of: datetime
    totals: tuple[CurrencyTotal, ...]
    lines: tuple[ExposureLine, ...]
