"""Which differences make a second request under one number another request (docs/contract.md#repeating-an-adjust)."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.adjust import AdjustBody
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.fields import canonical_amount
from contract.same_request import (
    adjust_identity,
    cancel_adjust_identity,
    cancel_operation_identity,
    differences,
)
from tests.unit.contract.wire_bodies import ADJUST

FIRST = AdjustBody.model_validate(ADJUST)
CANCEL_ARGUMENTS: dict[str, Any] = {"number": "C-1", "request_time_ms": 1_760_000_000_000, "remark": "no reply"}
CANCEL = CancelAdjustBody.undoing(FIRST, **CANCEL_ARGUMENTS)
OPERATION = CancelOperationBody.undoing(FIRST, **CANCEL_ARGUMENTS)

SAME: dict[str, dict[str, Any]] = {
    "fresh clock": {"requestTime": 1_770_000_000_000},
    "another address": {"ip": "2001:db8::1"},
    "amountDigits": {"amountDigits": 9},
    "remarks": {"metadata": '{"note":"again"}'},
    "no remarks": {"metadata": None},
}
ANOTHER: dict[str, Any] = {
    "thirdServerCode": "customer-8",
    "userName": "user-8",
    "currency": "EUR",
    "bizType": 10,
    "operationType": "NORMAL_CLOSE",
    "amount": "12.51",
    "orderId": 4712,
}


def differences_from_first(**changes: object) -> list[str]:
    """Return the differing fields of the first adjust and a changed copy, both of company 7."""
    return differences(adjust_identity(FIRST, 7), adjust_identity(FIRST.model_copy(update=changes), 7))


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
def test_time_address_and_remarks_do_not_matter(changes: dict[str, Any]) -> None:
    assert differences_from_first(**changes) == []


@pytest.mark.parametrize("field", ANOTHER)
def test_every_other_field_matters_and_is_named(field: str) -> None:
    assert differences_from_first(**{field: ANOTHER[field]}) == [field]


def test_every_difference_is_named() -> None:
    assert differences_from_first(**ANOTHER) == list(ANOTHER)


@pytest.mark.parametrize(("one", "other"), [(7, 8), (7, None), (None, 0), (-7, 7)])
def test_company_matters(one: int | None, other: int | None) -> None:
    assert differences(adjust_identity(FIRST, one), adjust_identity(FIRST, other)) == ["companyId"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12.5", "12.50"),
        ("1", "1.00"),
        ("-3", "-3.0"),
        ("100", "100.000"),
        ("0.10", "0.1"),
        ("9" * 36, f"{'9' * 36}.00"),
        (f"0.{'0' * 17}1", f"0.{'0' * 17}10"),
    ],
)
def test_amounts_are_compared_as_numbers(one: str, other: str) -> None:
    assert differences(*(adjust_identity(FIRST.model_copy(update={"amount": each}), 7) for each in (one, other))) == []


@pytest.mark.parametrize(
    ("one", "other"), [("100", "10"), ("12.5", "-12.5"), ("1.01", "1.010000000000000001"), ("9" * 36, "9" * 35 + "8")]
)
def test_amounts_with_a_tiny_difference_are_different(one: str, other: str) -> None:
    first, second = (adjust_identity(FIRST.model_copy(update={"amount": each}), 7) for each in (one, other))
    assert differences(first, second) == ["amount"]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9), st.integers(0, 9))
def test_canonical_amount_is_equal_for_equal_values_only(amount: Decimal, zeros: int) -> None:
    spelled = format(amount, "f") + "0" * zeros
    canonical = canonical_amount(spelled)
    assert Decimal(canonical) == Decimal(spelled)
    assert canonical == canonical_amount(format(amount, "f"))
    assert not ("." in canonical and canonical.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("changes", "different"),
    [
        ({"requestTime": 1, "ip": "::1", "cancelRemark": "again", "metadata": "{}", "amountDigits": 9}, []),
        ({"amount": f"{CANCEL.amount}0"}, []),
        ({"amount": "99"}, ["amount"]),
        ({"reverseRequestUniqueNo": "N-2"}, ["reverseRequestUniqueNo"]),
        ({"thirdServerCode": None}, ["thirdServerCode"]),
        ({"orderId": 1}, ["orderId"]),
    ],
)
def test_cancel_adjust_is_identified_by_what_it_reverses(changes: dict[str, Any], different: list[str]) -> None:
    other = cancel_adjust_identity(CANCEL.model_copy(update=changes), 7)
    assert differences(cancel_adjust_identity(CANCEL, 7), other) == different


@pytest.mark.parametrize(
    ("changes", "different"),
    [
        ({"requesttime": 1, "ip": "::1", "cancel_remark": "again"}, []),
        ({"tx_reverse_id": "N-2"}, ["tx_reverse_id"]),
        ({"username": "user-8"}, ["username"]),
        ({"reverse_type": 2}, ["reverse_type"]),
    ],
)
def test_cancel_operation_is_identified_by_what_it_reverses(changes: dict[str, Any], different: list[str]) -> None:
    other = cancel_operation_identity(OPERATION.model_copy(update=changes), 7)
    assert differences(cancel_operation_identity(OPERATION, 7), other) == different


def test_cancels_of_different_operations_are_different_requests() -> None:
    assert differences(cancel_adjust_identity(CANCEL, 7), cancel_operation_identity(OPERATION, 7))
