"""Tables 1 to 3: every value within the bounds of its rule is accepted and passed on exactly as given."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from contract.adjust import AdjustBody, AdjustRequest
from contract.cancel_adjust import CancelAdjustBody, CancelAdjustRequest
from contract.cancel_operation import CancelOperationBody, CancelOperationRequest
from contract.fields import INT64_MAX, INT64_MIN
from tests.unit.contract.wire_bodies import VALID, refusals

Accepted = dict[str, object]


def text(length_max: int) -> Accepted:
    """Return values that every bounded text accepts; lengths count characters, not bytes."""
    return {
        "one character": "x",
        f"{length_max} characters": "x" * length_max,
        f"{length_max} characters outside ASCII": "\u5ba2" * length_max,
        f"{length_max} characters outside the BMP": "\U0001f600" * length_max,
        "spaces around": " x ",
        "quotes and slashes": "a\"b\\c/d'e",
        "looks like markup": "<b>&amp;</b>",
    }


INT64: Accepted = {"zero": 0, "-1": -1, "max": INT64_MAX, "min": INT64_MIN, "beyond a float": 2**53 + 1}
EPOCH_MS: Accepted = {"first of 13 digits": 1_000_000_000_000, "last of 13 digits": 9_999_999_999_999}
CURRENCIES: Accepted = {each: each for each in ("USD", "EUR", "CNY", "JPY", "KWD", "XAF", "XAU")}
IPS: Accepted = {
    "IPv4": "203.0.113.7",
    "IPv4 lowest": "0.0.0.0",  # noqa: S104 - no one binds to it
    "IPv4 highest": "255.255.255.255",
    "IPv6": "2001:db8::1",
    "IPv6 unspecified": "::",
    "IPv6 capitals": "2001:DB8::A",
    "IPv4 in IPv6": "::ffff:203.0.113.7",
    "IPv6 of 45 characters": "0000:0000:0000:0000:0000:ffff:255.255.255.255",
}
METADATA: Accepted = {
    "object": '{"note":"vip"}',
    "spaces and line breaks between tokens": '{ "a" :\n1 }',
    "empty object": "{}",
    "text": '"vip"',
    "number": "1.50",
    "null text": "null",
    "escapes": '"\\u5ba2\\n"',
    "100 levels deep": "[" * 100 + "]" * 100,
    "200 characters": '"' + "x" * 198 + '"',
    "200 digits": "1" * 200,
    "absent": None,
}
BIZ_TYPES: Accepted = {str(each): each for each in (1, 2, 10, 11, 12)}

RULES: dict[type[BaseModel], dict[str, Accepted]] = {
    AdjustRequest: {
        "thirdServerCode": text(256),
        "userName": text(48),
        "currency": CURRENCIES,
        "bizType": BIZ_TYPES,
        "operationType": {"open": "OPEN_POSITION", "close": "NORMAL_CLOSE"},
        "amountDigits": {str(each): each for each in range(2, 19)},
        "orderId": INT64,
        "requestUniqueNo": text(48),
        "requestTime": EPOCH_MS,
        "ip": IPS,
        "metadata": METADATA,
    },
    CancelAdjustRequest: {
        "thirdServerCode": {**text(256), "absent": None},
        "userName": text(48),
        "currency": CURRENCIES,
        "bizType": BIZ_TYPES,
        "amountDigits": {str(each): each for each in range(2, 19)},
        "orderId": {**INT64, "absent": None},
        "requestUniqueNo": text(48),
        "reverseRequestUniqueNo": text(48),
        "requestTime": EPOCH_MS,
        "ip": IPS,
        "cancelRemark": text(200),
        "metadata": METADATA,
    },
    CancelOperationRequest: {
        "username": text(48),
        "tx_reverse_id": text(48),
        "reverse_type": {"placing": 1, "closing": 2},
        "txid": text(48),
        "requesttime": EPOCH_MS,
        "ip": IPS,
        "cancel_remark": text(200),
    },
}


def cases() -> Iterator[Any]:
    """Yield each model, field and value with an id that names them."""
    for model, fields in RULES.items():
        for field, accepted in fields.items():
            for name, value in accepted.items():
                yield pytest.param(model, field, value, id=f"{model.__name__}.{field}: {name}")


@pytest.mark.parametrize(("model", "field", "value"), list(cases()))
def test_valid_value_is_passed_on_unchanged(model: type[BaseModel], field: str, value: object) -> None:
    given = {**VALID[model], field: value}
    assert refusals(model, given) == {}
    accepted = model.model_validate(given)
    assert isinstance(accepted, AdjustBody | CancelAdjustBody | CancelOperationBody)
    wire = json.loads(json.dumps(accepted.wire()))
    assert wire == {name: each for name, each in given.items() if each is not None}
    assert {name: type(each) for name, each in wire.items()} == {name: type(given[name]) for name in wire}


@pytest.mark.parametrize("model", VALID, ids=lambda model: model.__name__)
def test_every_field_has_test_values(model: type[BaseModel]) -> None:
    assert {*RULES[model], "amount"} >= set(model.model_fields)
