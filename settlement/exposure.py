"""Money in doubt: what the external systems may hold although its order is void."""

from datetime import datetime
from enum import StrEnum

from contract.model import Model
from settlement.calls import Rule
from settlement.states import State


class Age(StrEnum):
    """How long a settlement has been open, counted from its acceptance."""

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
    """What tells the lines of one currency, company and state apart."""

    AGE = "age"
    CAUSE = "cause"


class ExposureLine(Model):
    """Settlements in doubt that agree in currency, company, state, and age or cause (the other one is null)."""

    currency: str
    company_id: int | None
    state: State
    """CANCELLING (after an adjust that was not certainly refused) or ABORTED."""
    age: Age | None
    cause: Rule | None = None
    """The rule of the last external call; null also where none was made."""
    count: int
    amount: str
    """Sum of the amounts without their signs: a deduction in doubt does not make up for a credit in doubt."""
    oldest_accepted_at: datetime


class CurrencyTotal(Model):
    """All that is in doubt in one currency."""

    currency: str
    count: int
    amount: str


class Exposure(Model):
    """Money in doubt at one moment, as the ledger has it."""

    as_of: datetime
    totals: tuple[CurrencyTotal, ...]
    lines: tuple[ExposureLine, ...]
