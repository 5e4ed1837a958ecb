"""Field types of the wire contract (docs/contract.md#operations), each with its rule and a message that names it.

Values are checked and passed on exactly as given: not trimmed, not case-folded, not parsed as numbers.
An amount is a `str` from the platform's JSON to the external system's JSON; it is never a float.
"""

import ipaddress
import json
import re
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Any

import pycountry
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from contract.strict_json import not_json

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
UNIQUE_NO_LENGTH_MAX = 48
REMARK_LENGTH_MAX = 200
AMOUNT_LENGTH_MAX = 40
AMOUNT_DIGITS_MAX = 18

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_NOT_ACCOUNT_CURRENCIES = {"XXX", "XTS"}
"""ISO 4217 codes for "no currency" and for tests; an account cannot have them."""
_DATE_AND_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].+")


class BizType(IntEnum):
    """Kind of the order that is settled (docs/contract.md#table-1)."""

    MARKET_OPEN = 1
    MARKET_CLOSE = 2
    LIMIT_PENDING = 10
    STOP_LOSS_PENDING = 11
    LIMIT_OPEN = 12


class OperationType(StrEnum):
    """Why the credit is adjusted; it determines the sign of the amount (docs/contract.md#table-1)."""

    OPEN_POSITION = "OPEN_POSITION"
    NORMAL_CLOSE = "NORMAL_CLOSE"
    ABNORMAL_OVERTRADING = "ABNORMAL_OVERTRADING"


def decimal_places(amount: str) -> int:
    """Count the decimals of a plain decimal string: "12.50" has two, "12" none."""
    return len(amount.partition(".")[2])


def absolute(amount: str) -> str:
    """Return the amount without its sign, otherwise unchanged: the amount of a cancel adjust is always positive."""
    return amount.removeprefix("-")


def canonical_amount(amount: str) -> str:
    """Return the same text for equal amounts: "12.5" for both "12.50" and "12.5".

    It works on the text, so it is exact for any number of digits.
    """
    if is_zero(amount):
        return "0"
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


def is_zero(amount: str) -> bool:
    """Tell whether a plain decimal string is zero, without converting it to a number."""
    return not amount.strip("-0.")


def _no_control_characters(value: str) -> str:
    if _CONTROL.search(value):
        message = "must not contain control characters"
        raise ValueError(message)
    return value


def is_unique_no(value: object) -> bool:
    """Tell whether a value is a valid requestUniqueNo: 1 to 48 characters, no control characters or lone surrogates."""
    return (
        isinstance(value, str)
        and 1 <= len(value) <= UNIQUE_NO_LENGTH_MAX
        and not _CONTROL.search(value)
        and not _SURROGATE.search(value)
    )


def no_nul(value: str) -> str:
    """Refuse NUL in a text that may contain every other character, even line breaks: PostgreSQL cannot store NUL."""
    if "\0" in value:
        message = "must not contain NUL"
        raise ValueError(message)
    return value


def _plain_decimal(value: str) -> str:
    if not _DECIMAL.fullmatch(value):
        message = "must be a plain decimal string such as 12.50 or -3: no exponent, no plus sign, no leading zeros"
        raise ValueError(message)
    return value


def _iso_4217(value: str) -> str:
    if not re.fullmatch("[A-Z]{3}", value) or pycountry.currencies.get(alpha_3=value) is None:
        message = "must be an ISO 4217 currency code in capitals, such as USD"
        raise ValueError(message)
    if value in _NOT_ACCOUNT_CURRENCIES:
        message = "must be the currency of an account: XXX (no currency) and XTS (tests) are not"
        raise ValueError(message)
    return value


def _ip_address(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        message = "must be an IPv4 or IPv6 address"
        raise ValueError(message) from None
    if "%" in value:
        message = "must be an IPv6 address without a zone"
        raise ValueError(message)
    return value


def _json_text(value: str) -> str:
    try:
        json.loads(value, parse_constant=not_json)
    except (ValueError, RecursionError):
        message = "must be JSON text"
        raise ValueError(message) from None
    return value


def _date_and_time(value: object) -> object:
    """Refuse a number: pydantic would read it as seconds or as milliseconds since 1970, depending on its size."""
    if not isinstance(value, datetime) and not (isinstance(value, str) and _DATE_AND_TIME.fullmatch(value)):
        message = "must be a date with time and offset, such as 2026-01-05T00:00:00Z"
        raise ValueError(message)
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        message = "must be a moment from year 1 to year 9999 in UTC"
        raise ValueError(message) from None


def text_of(length_max: int, without: str, examples: list[str] | None = None) -> Any:  # noqa: ANN401 - what Field returns
    """Return the length bounds of a text, and the pattern for the OpenAPI document that excludes some characters.

    The pattern is not checked here: a validator does that, with a message that names the rule.
    """
    return Field(
        min_length=1,
        max_length=length_max,
        examples=examples,
        json_schema_extra={"pattern": f"^[^{without}]+$"},
    )


NUL = r"\u0000"
_CONTROLS = r"\u0000-\u001f\u007f-\u009f"

Text = Annotated[str, text_of(256, _CONTROLS), AfterValidator(_no_control_characters)]
UniqueNo = Annotated[
    str,
    text_of(UNIQUE_NO_LENGTH_MAX, _CONTROLS, examples=["ORD-20260105-0001"]),
    AfterValidator(_no_control_characters),
]
UserName = Annotated[str, text_of(48, _CONTROLS), AfterValidator(_no_control_characters)]
Currency = Annotated[
    str,
    Field(max_length=16, description="ISO 4217 code of the account's currency; not XXX or XTS", examples=["USD"]),
    AfterValidator(_iso_4217),
]
Amount = Annotated[
    str,
    Field(
        max_length=AMOUNT_LENGTH_MAX,
        description="plain decimal string",
        examples=["12.50"],
        json_schema_extra={"pattern": f"^{_DECIMAL.pattern}$"},
    ),
    AfterValidator(_plain_decimal),
]
AmountDigits = Annotated[int, Field(ge=0, le=AMOUNT_DIGITS_MAX)]
Int64 = Annotated[int, Field(ge=INT64_MIN, le=INT64_MAX, json_schema_extra={"format": "int64"})]
EpochMs = Annotated[
    int,
    Field(
        ge=1_000_000_000_000,
        le=9_999_999_999_999,
        description="milliseconds since 1970-01-01 UTC, 13 digits",
        json_schema_extra={"format": "int64"},
    ),
]
Moment = Annotated[AwareDatetime, BeforeValidator(_date_and_time), AfterValidator(_in_utc)]
IpAddress = Annotated[
    str, Field(max_length=45, description="IPv4 or IPv6", examples=["203.0.113.7"]), AfterValidator(_ip_address)
]
Remark = Annotated[str, text_of(REMARK_LENGTH_MAX, _CONTROLS), AfterValidator(_no_control_characters)]
Metadata = Annotated[
    str,
    Field(max_length=REMARK_LENGTH_MAX, description="JSON text", examples=['{"note":"vip"}']),
    AfterValidator(_json_text),
]


def restore_integer_bounds(node: object) -> None:
    """Convert the integer bounds in a part of an OpenAPI document from float back to int, limited to int64.

    FastAPI writes bounds as floats, which cannot represent every int64.
    """
    if isinstance(node, dict):
        for bound in ("minimum", "maximum"):
            if node.get("type") == "integer" and isinstance(node.get(bound), float):
                node[bound] = max(INT64_MIN, min(INT64_MAX, int(node[bound])))
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            restore_integer_bounds(each)
