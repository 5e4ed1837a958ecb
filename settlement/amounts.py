"""Amounts per currency in settings and requests, such as `USD=1000,EUR=900.50,*=500`. Exact: never a float."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field

from contract.fields import AMOUNT_LENGTH_MAX, absolute

OTHER_CURRENCIES = "*"
"""Entry for every currency that has no entry of its own."""
_AMOUNT = re.compile(r"[0-9]+(\.[0-9]+)?")
_CURRENCY = re.compile(r"[A-Z]{3}|\*")
_ENTRY_RULE = "must be entries such as USD=1000 or *=500, separated by commas; each currency once"
_AMOUNT_RULE = f"an amount must be a plain decimal of at most {AMOUNT_LENGTH_MAX} characters, such as 900.50"


def is_amount(text: str) -> bool:
    """Return whether a text is a plain decimal that is not negative: no sign, no exponent, no spaces."""
    return len(text) <= AMOUNT_LENGTH_MAX and _AMOUNT.fullmatch(text) is not None


def parse_amounts(text: str) -> dict[str, str]:
    """Return the amounts by currency. Raises ValueError, whose message is the broken rule."""
    amounts: dict[str, str] = {}
    for entry in text.split(","):
        currency, equals, amount = (part.strip() for part in entry.partition("="))
        if not equals or not _CURRENCY.fullmatch(currency) or currency in amounts:
            raise ValueError(_ENTRY_RULE)
        if not is_amount(amount):
            raise ValueError(_AMOUNT_RULE)
        amounts[currency] = amount
    return amounts


def amount_for(amounts: Mapping[str, str], currency: str) -> str | None:
    """Return the amount of a currency, or that of `*`; None if there is neither."""
    return amounts.get(currency, amounts.get(OTHER_CURRENCIES))


def is_above(amount: str, limit: str | None) -> bool:
    """Return whether the absolute value of an amount is above a limit. Nothing is above None."""
    return limit is not None and Decimal(absolute(amount)) > Decimal(limit)


def _checked(text: str) -> str:
    parse_amounts(text)
    return text


def _amount(text: str) -> str:
    if not is_amount(text):
        raise ValueError(_AMOUNT_RULE)
    return text


AmountText = Annotated[
    str,
    Field(json_schema_extra={"pattern": f"^{_AMOUNT.pattern}$", "maxLength": AMOUNT_LENGTH_MAX}),
    AfterValidator(_amount),
]
"""A plain decimal that is not negative."""
AmountsText = Annotated[str, AfterValidator(_checked)]
"""Amounts per currency, as `parse_amounts` reads them."""
