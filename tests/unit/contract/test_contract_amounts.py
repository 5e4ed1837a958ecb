"""The amount: a plain decimal string, at most amountDigits decimals, signed by the operation, never a number."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.adjust import AdjustRequest
from contract.cancel_adjust import CancelAdjustBody, CancelAdjustRequest
from contract.fields import OperationType, absolute, decimal_places, is_zero
from tests.unit.contract.wire_bodies import ADJUST, CANCEL_ADJUST, refusals

PLAIN = "Value error, must be a plain decimal string such as 12.50 or -3: no exponent, no plus sign, no leading zeros"
STRING = "Input should be a valid string"
CANCEL_SIGN = "Value error, must be positive in a cancel adjust"

NOT_PLAIN = {
    "plus sign": "+1",
    "exponent": "1e5",
    "capital exponent": "1E5",
    "no digit before the point": ".5",
    "no digit after the point": "5.",
    "leading zeros": "007",
    "two zeros": "00",
    "leading zero of a decimal": "01.5",
    "minus alone": "-",
    "point alone": ".",
    "two minus signs": "--1",
    "minus without a digit": "-.5",
    "minus with leading zeros": "-007",
    "minus at the end": "1-",
    "two points": "1.2.3",
    "decimal comma": "1,5",
    "thousands comma": "1,000",
    "thousands underscore": "1_000",
    "space before": " 1",
    "space after": "1 ",
    "newline after": "1\n",
    "full-width digits": "\uff11\uff12",
    "full-width digit after another": "1\uff12",
    "full-width decimal": "1.\uff15",
    "Arabic-Indic digits": "\u0661\u0662",
    "unicode minus": "\u22121",
    "superscript": "1\u00b2",
    "hexadecimal": "0x1",
    "NaN": "NaN",
    "infinity": "Infinity",
    "currency sign": "$1",
    "NUL": "1\x00",
    "empty": "",
}
NOT_A_STRING = {"integer": 12, "float": 12.5, "true": True, "null": None, "list": ["12.50"], "NaN": float("nan")}


@pytest.mark.parametrize("amount", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_amount_that_is_not_a_plain_decimal_is_refused(amount: str) -> None:
    assert refusals(AdjustRequest, {**ADJUST, "amount": amount}) == {"amount": PLAIN}
    assert refusals(CancelAdjustRequest, {**CANCEL_ADJUST, "amount": amount}) == {"amount": PLAIN}


@pytest.mark.parametrize("amount", NOT_A_STRING.values(), ids=NOT_A_STRING)
def test_amount_is_never_a_json_number(amount: object) -> None:
    assert refusals(AdjustRequest, {**ADJUST, "amount": amount}) == {"amount": STRING}
    assert refusals(CancelAdjustRequest, {**CANCEL_ADJUST, "amount": amount}) == {"amount": STRING}


def test_amount_with_a_lone_surrogate_is_refused() -> None:
    assert refusals(AdjustRequest, {**ADJUST, "amount": "\ud800"}) == {
        "amount": f"{STRING}, unable to parse raw data as a unicode string"
    }


@pytest.mark.parametrize("digits", range(19))
def test_amount_has_at_most_amount_digits_decimals(digits: int) -> None:
    whole = "1" if digits == 0 else "1." + "0" * (digits - 1) + "1"
    too_fine = "1." + "0" * digits + "1"
    too_many = {"amount": f"Value error, must have at most amountDigits={digits} decimals"}
    for model, valid in ((AdjustRequest, ADJUST), (CancelAdjustRequest, CANCEL_ADJUST)):
        assert refusals(model, {**valid, "amountDigits": digits, "amount": whole}) == {}
        assert refusals(model, {**valid, "amountDigits": digits, "amount": "1"}) == {}
        assert refusals(model, {**valid, "amountDigits": digits, "amount": too_fine}) == too_many


def test_trailing_zeros_count_as_decimals() -> None:
    body = {**ADJUST, "amountDigits": 1, "amount": "1.50"}
    assert refusals(AdjustRequest, body) == {"amount": "Value error, must have at most amountDigits=1 decimals"}


SIGNS = {
    OperationType.OPEN_POSITION: "positive",
    OperationType.NORMAL_CLOSE: "positive",
    OperationType.ABNORMAL_OVERTRADING: "negative",
}


@pytest.mark.parametrize("amount", ["12.50", "0.01", "-12.50", "-0.01", "0", "0.00", "-0", "-0.00"])
@pytest.mark.parametrize("operation", list(OperationType))
def test_sign_must_fit_the_operation_and_zero_never_does(operation: OperationType, amount: str) -> None:
    sign = "none" if Decimal(amount) == 0 else "negative" if Decimal(amount) < 0 else "positive"
    wanted = SIGNS[operation]
    refused = {"amount": f"Value error, must be {wanted} for operationType {operation}"}
    body = {**ADJUST, "operationType": operation.value, "amount": amount}
    assert refusals(AdjustRequest, body) == ({} if sign == wanted else refused)


@pytest.mark.parametrize("amount", ["-12.50", "-0.01", "0", "0.00", "-0", "-0.00"])
def test_cancel_amount_is_only_positive(amount: str) -> None:
    assert refusals(CancelAdjustRequest, {**CANCEL_ADJUST, "amount": amount}) == {"amount": CANCEL_SIGN}


@pytest.mark.parametrize("amount", ["1" * 40, "9" * 21 + "." + "9" * 18, "-" + "1" * 39], ids=["40", "21.18", "-39"])
def test_amount_of_40_characters_is_accepted(amount: str) -> None:
    operation = "ABNORMAL_OVERTRADING" if amount.startswith("-") else "OPEN_POSITION"
    body = {**ADJUST, "operationType": operation, "amountDigits": 18, "amount": amount}
    assert refusals(AdjustRequest, body) == {}


def test_amount_of_41_characters_is_refused() -> None:
    message = "String should have at most 40 characters"
    assert refusals(AdjustRequest, {**ADJUST, "amount": "1" * 41}) == {"amount": message}
    assert refusals(CancelAdjustRequest, {**CANCEL_ADJUST, "amount": "1" * 41}) == {"amount": message}


@pytest.mark.parametrize(("field", "amount"), [("amountDigits", "1.123456"), ("operationType", "-1.12")])
def test_invalid_amount_digits_or_operation_is_not_reported_at_the_amount(field: str, amount: str) -> None:
    """An invalid field that the amount's rules use is refused only at that field."""
    assert set(refusals(AdjustRequest, {**ADJUST, field: None, "amount": amount})) == {field}


@st.composite
def amounts(draw: st.DrawFn) -> tuple[str, int, OperationType]:
    """Draw a valid amount, its amountDigits and its operation."""
    digits = draw(st.integers(0, 18))
    whole = str(draw(st.one_of(st.just(0), st.integers(0, 999), st.integers(0, 10**20))))
    decimals = draw(st.text("0123456789", max_size=digits))
    plain = f"{whole}.{decimals}" if decimals else whole
    if Decimal(plain) == 0:
        plain = "1"
    operation = draw(st.sampled_from(OperationType))
    return ("-" if SIGNS[operation] == "negative" else "") + plain, digits, operation


@given(amounts())
def test_valid_amount_is_sent_exactly_as_given(drawn: tuple[str, int, OperationType]) -> None:
    amount, digits, operation = drawn
    body = {**ADJUST, "amount": amount, "amountDigits": digits, "operationType": operation.value}
    adjust = AdjustRequest.model_validate(json.loads(json.dumps(body)))
    assert json.loads(json.dumps(adjust.wire()))["amount"] == amount


@given(amounts())
def test_cancel_has_exactly_the_absolute_value(drawn: tuple[str, int, OperationType]) -> None:
    """Only the sign is removed; the cancel of every valid adjust is valid under table 2."""
    amount, digits, operation = drawn
    body = {**ADJUST, "amount": amount, "amountDigits": digits, "operationType": operation.value}
    adjust = AdjustRequest.model_validate(body)
    cancel = CancelAdjustBody.undoing(adjust, number="CA1-1", request_time_ms=1_760_000_003_000, remark="late")
    sent = json.loads(json.dumps(cancel.wire()))
    assert sent["amount"] == amount.lstrip("-")
    assert Decimal(sent["amount"]) == Decimal(amount).copy_abs()
    assert refusals(CancelAdjustRequest, sent) == {}


@given(amounts())
def test_decimal_helpers_agree_with_decimal_arithmetic(drawn: tuple[str, int, OperationType]) -> None:
    amount, _, _ = drawn
    exponent = Decimal(amount).as_tuple().exponent
    assert isinstance(exponent, int)
    assert decimal_places(amount) == -exponent
    assert Decimal(absolute(amount)) == Decimal(amount).copy_abs()
    assert not is_zero(amount)


@pytest.mark.parametrize(
    ("amount", "unsigned"), [("-0.5", "0.5"), ("-0.05", "0.05"), ("-10", "10"), ("-1.50", "1.50"), ("0.50", "0.50")]
)
def test_absolute_removes_only_the_sign(amount: str, unsigned: str) -> None:
    assert absolute(amount) == unsigned


@pytest.mark.parametrize("zero", ["0", "-0", "0.0", "-0.000"])
def test_zero_is_recognized_in_every_spelling(zero: str) -> None:
    assert is_zero(zero)
