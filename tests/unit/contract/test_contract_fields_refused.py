"""Tables 1 to 3: a value that breaks a rule is refused at its field, with a message that states the rule."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from contract.adjust import AdjustRequest
from contract.cancel_adjust import CancelAdjustRequest
from contract.cancel_operation import CancelOperationRequest
from contract.fields import INT64_MAX, INT64_MIN
from tests.unit.contract.wire_bodies import ADJUST, VALID, refusals

STRING = "Input should be a valid string"
INTEGER = "Input should be a valid integer"
CONTROL = "Value error, must not contain control characters"
CURRENCY = "Value error, must be an ISO 4217 currency code in capitals, such as USD"
NO_ACCOUNT = "Value error, must be the currency of an account: XXX (no currency) and XTS (tests) are not"
IP = "Value error, must be an IPv4 or IPv6 address"
BIZ_TYPE = "Input should be 1, 2, 10, 11 or 12"
OPERATION = "Input should be 'OPEN_POSITION', 'NORMAL_CLOSE' or 'ABNORMAL_OVERTRADING'"
JSON_TEXT = "Value error, must be JSON text"
TIME_MIN = "Input should be greater than or equal to 1000000000000"
TIME_MAX = "Input should be less than or equal to 9999999999999"
UNICODE = f"{STRING}, unable to parse raw data as a unicode string"

Refused = dict[str, tuple[object, str]]

NOT_A_STRING: Refused = {
    "number": (7, STRING),
    "true": (True, STRING),
    "list": (["x"], STRING),
    "lone surrogate": ("\ud800", UNICODE),
}
CONTROLS: Refused = {
    "newline": ("a\nb", CONTROL),
    "NUL": ("\x00", CONTROL),
    "escape": ("a\x1b[2J", CONTROL),
    "DEL": ("a\x7f", CONTROL),
}
NULL_STRING: Refused = {"null": (None, STRING)}
NULL_INTEGER: Refused = {"null": (None, INTEGER)}


def text(length_max: int) -> Refused:
    """Return values that every bounded text refuses."""
    too_long = ("x" * (length_max + 1), f"String should have at most {length_max} characters")
    empty = ("", "String should have at least 1 character")
    return {**NOT_A_STRING, **CONTROLS, "empty": empty, f"{length_max + 1} characters": too_long}


NOT_AN_INTEGER: Refused = {
    "true": (True, INTEGER),
    "float 1.0": (1.0, INTEGER),
    "string": ("1", INTEGER),
    "NaN": (float("nan"), INTEGER),
}
NOT_A_CHOICE: Refused = {
    "true": (True, "Value error, must be an integer"),
    "float 1.0": (1.0, "Value error, must be an integer"),
    "string": ("1", "Value error, must be an integer"),
    "null": (None, "Value error, must be an integer"),
}
INT64: Refused = {
    **NOT_AN_INTEGER,
    "above int64": (INT64_MAX + 1, f"Input should be less than or equal to {INT64_MAX}"),
    "below int64": (INT64_MIN - 1, f"Input should be greater than or equal to {INT64_MIN}"),
    "4000 digits": (10**4000, f"Input should be less than or equal to {INT64_MAX}"),
}
EPOCH_MS: Refused = {
    **NOT_AN_INTEGER,
    **NULL_INTEGER,
    "12 digits": (999_999_999_999, TIME_MIN),
    "14 digits": (10_000_000_000_000, TIME_MAX),
    "seconds": (1_760_000_000, TIME_MIN),
    "zero": (0, TIME_MIN),
    "negative": (-1_760_000_000_000, TIME_MIN),
}
CURRENCIES: Refused = {
    **NOT_A_STRING,
    **NULL_STRING,
    "lower case": ("usd", CURRENCY),
    "mixed case": ("Usd", CURRENCY),
    "unknown": ("ZZZ", CURRENCY),
    "withdrawn": ("DEM", CURRENCY),
    "no currency": ("XXX", NO_ACCOUNT),
    "for tests": ("XTS", NO_ACCOUNT),
    "two letters": ("US", CURRENCY),
    "four letters": ("USDT", CURRENCY),
    "its number": ("840", CURRENCY),
    "full-width letters": ("\uff35\uff33\uff24", CURRENCY),
    "space": ("USD ", CURRENCY),
    "newline": ("USD\n", CURRENCY),
    "empty": ("", CURRENCY),
    "16 characters": ("U" * 16, CURRENCY),
    "17 characters": ("U" * 17, "String should have at most 16 characters"),
}
IPS: Refused = {
    **NOT_A_STRING,
    **NULL_STRING,
    "host name": ("localhost", IP),
    "three octets": ("203.0.113", IP),
    "octet 256": ("203.0.113.256", IP),
    "leading zero": ("203.0.113.07", IP),
    "full-width digits": ("\uff12.0.113.7", IP),
    "with port": ("203.0.113.7:80", IP),
    "network": ("203.0.113.0/24", IP),
    "brackets": ("[2001:db8::1]", IP),
    "two gaps": ("2001::db8::1", IP),
    "space": (" 203.0.113.7", IP),
    "newline": ("203.0.113.7\n", IP),
    "empty": ("", IP),
    "zone": ("fe80::1%eth0", "Value error, must be an IPv6 address without a zone"),
    "46 characters": ("1" * 46, "String should have at most 45 characters"),
}
METADATA: Refused = {
    **NOT_A_STRING,
    "empty": ("", JSON_TEXT),
    "plain words": ("vip", JSON_TEXT),
    "single quotes": ("{'a': 1}", JSON_TEXT),
    "trailing comma": ("[1,]", JSON_TEXT),
    "two values": ("{} {}", JSON_TEXT),
    "NaN": ('{"a":NaN}', JSON_TEXT),
    "infinity": ("-Infinity", JSON_TEXT),
    "newline in a string": ('"a\nb"', JSON_TEXT),
    "byte order mark": ("\ufeff{}", JSON_TEXT),
    "200 open brackets": ("[" * 200, JSON_TEXT),
    "an object, not text": ({"a": 1}, STRING),
    "201 characters": ('"' + "x" * 199 + '"', "String should have at most 200 characters"),
}
BIZ_TYPES: Refused = {**NOT_A_CHOICE, **{str(each): (each, BIZ_TYPE) for each in (0, 3, 9, 13, -1)}}
OPERATIONS: Refused = {
    "lower case": ("open_position", OPERATION),
    "unknown": ("CLOSE", OPERATION),
    "empty": ("", OPERATION),
    "number": (1, OPERATION),
    "null": (None, OPERATION),
    "space": ("OPEN_POSITION ", OPERATION),
}
REVERSE_TYPES: Refused = {**NOT_A_CHOICE, **{str(each): (each, "Input should be 1 or 2") for each in (0, 3, -1)}}
AMOUNT_DIGITS: Refused = {
    **NOT_AN_INTEGER,
    **NULL_INTEGER,
    "19": (19, "Input should be less than or equal to 18"),
    "-1": (-1, "Input should be greater than or equal to 0"),
}

NUMBER = {**text(48), **NULL_STRING}
REMARK = {**text(200), **NULL_STRING}

RULES: dict[type[BaseModel], dict[str, Refused]] = {
    AdjustRequest: {
        "thirdServerCode": {**text(256), **NULL_STRING},
        "userName": NUMBER,
        "currency": CURRENCIES,
        "bizType": BIZ_TYPES,
        "operationType": OPERATIONS,
        "amountDigits": AMOUNT_DIGITS,
        "orderId": {**INT64, **NULL_INTEGER},
        "requestUniqueNo": NUMBER,
        "requestTime": EPOCH_MS,
        "ip": IPS,
        "metadata": METADATA,
    },
    CancelAdjustRequest: {
        "thirdServerCode": text(256),
        "userName": NUMBER,
        "currency": CURRENCIES,
        "bizType": BIZ_TYPES,
        "amountDigits": AMOUNT_DIGITS,
        "orderId": INT64,
        "requestUniqueNo": NUMBER,
        "reverseRequestUniqueNo": NUMBER,
        "requestTime": EPOCH_MS,
        "ip": IPS,
        "cancelRemark": REMARK,
        "metadata": METADATA,
    },
    CancelOperationRequest: {
        "username": NUMBER,
        "tx_reverse_id": NUMBER,
        "reverse_type": REVERSE_TYPES,
        "txid": NUMBER,
        "requesttime": EPOCH_MS,
        "ip": IPS,
        "cancel_remark": REMARK,
    },
}


def cases() -> Iterator[Any]:
    """Yield each model, field, value and message with an id that names them."""
    for model, fields in RULES.items():
        for field, refused in fields.items():
            for name, (value, message) in refused.items():
                yield pytest.param(model, field, value, message, id=f"{model.__name__}.{field}: {name}")


@pytest.mark.parametrize(("model", "field", "value", "message"), list(cases()))
def test_broken_rule_is_reported_only_at_its_field(
    model: type[BaseModel], field: str, value: object, message: str
) -> None:
    assert refusals(model, {**VALID[model], field: value}) == {field: message}


@pytest.mark.parametrize("model", VALID, ids=lambda model: model.__name__)
def test_table_of_rules_covers_every_field(model: type[BaseModel]) -> None:
    """A field added to the contract needs its rules in this table; amounts have their own module."""
    assert {*RULES[model], "amount"} >= set(model.model_fields)


def test_all_broken_fields_are_reported_together() -> None:
    """One answer lists all problems, so that a client need not send the request several times."""
    body: dict[str, Any] = {field: [] for field in ADJUST}
    assert set(refusals(AdjustRequest, body)) == set(ADJUST)


@pytest.mark.parametrize("model", VALID, ids=lambda model: model.__name__)
def test_c1_control_characters_are_control_characters_too(model: type[BaseModel]) -> None:
    """U+0080 to U+009F are category Cc too; U+009B starts a terminal's escape sequence, like ESC [."""
    fields = [field for field, refused in RULES[model].items() if "NUL" in refused]
    broken = dict.fromkeys(fields, "a\x85b\x9bc")
    assert refusals(model, {**VALID[model], **broken}) == dict.fromkeys(fields, CONTROL)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1], ids=["above int64", "below int64"])
def test_enum_value_beyond_int64_is_refused_with_the_message_of_its_rule(value: int) -> None:
    """Pydantic's own message is about the size of input strings and does not say what is allowed."""
    body = {**VALID[CancelOperationRequest], "reverse_type": value}
    assert refusals(AdjustRequest, {**ADJUST, "bizType": value}) == {"bizType": BIZ_TYPE}
    assert refusals(CancelOperationRequest, body) == {"reverse_type": "Input should be 1 or 2"}
