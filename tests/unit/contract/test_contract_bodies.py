"""Tables 1 to 3 as objects: required fields, unknown fields, and the fields that a cancel copies from its adjust."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from contract.adjust import AdjustBody, AdjustRequest
from contract.cancel_adjust import CancelAdjustBody, CancelAdjustRequest
from contract.cancel_operation import CancelOperationBody, CancelOperationRequest, ReverseType, reverse_type_of
from contract.fields import BizType, OperationType
from tests.unit.contract.wire_bodies import ADJUST, CANCEL_ADJUST, VALID, refusals

OPTIONAL: dict[type[BaseModel], set[str]] = {
    AdjustRequest: {"metadata"},
    CancelAdjustRequest: {"thirdServerCode", "orderId", "metadata"},
    CancelOperationRequest: set(),
}
REQUIRED = [
    pytest.param(model, field, id=f"{model.__name__}.{field}") for model, body in VALID.items() for field in body
]
MODELS = [pytest.param(model, id=model.__name__) for model in VALID]
FULL_ADJUST = {**ADJUST, "metadata": '{"note":"vip"}'}
BODIES: dict[type[BaseModel], type[BaseModel]] = {
    AdjustRequest: AdjustBody,
    CancelAdjustRequest: CancelAdjustBody,
    CancelOperationRequest: CancelOperationBody,
}


@pytest.mark.parametrize(("model", "field"), REQUIRED)
def test_each_missing_required_field_is_named(model: type[BaseModel], field: str) -> None:
    body = {name: value for name, value in VALID[model].items() if name != field}
    assert refusals(model, body) == {field: "Field required"}


@pytest.mark.parametrize("model", MODELS)
def test_tables_have_these_optional_fields_and_no_others(model: type[BaseModel]) -> None:
    assert set(model.model_fields) == set(VALID[model]) | OPTIONAL[model]
    assert {name for name, field in model.model_fields.items() if not field.is_required()} == OPTIONAL[model]


@pytest.mark.parametrize("model", MODELS)
def test_unknown_field_is_refused_by_its_name(model: type[BaseModel]) -> None:
    assert refusals(model, {**VALID[model], "note": "x"}) == {"note": "Extra inputs are not permitted"}


@pytest.mark.parametrize("model", MODELS)
def test_field_names_are_exact(model: type[BaseModel]) -> None:
    name, *_ = VALID[model]
    body = {(each.upper() if each == name else each): value for each, value in VALID[model].items()}
    assert refusals(model, body) == {name: "Field required", name.upper(): "Extra inputs are not permitted"}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("body", [[], "text", 7, None], ids=["list", "text", "number", "null"])
def test_body_that_is_not_an_object_is_refused(model: type[BaseModel], body: Any) -> None:  # noqa: ANN401 - any JSON
    assert list(refusals(model, body)) == [""]


@pytest.mark.parametrize("model", MODELS)
def test_request_is_immutable(model: type[BaseModel]) -> None:
    name, *_ = VALID[model]
    request = model.model_validate(VALID[model])
    with pytest.raises(ValidationError):
        setattr(request, name, "x")


@pytest.mark.parametrize("model", MODELS)
def test_body_in_a_history_is_readable_even_if_it_breaks_a_rule(model: type[BaseModel]) -> None:
    """Workflow histories store field types only, so a stricter rule cannot make an open settlement unreadable."""
    body_type = BODIES[model]
    body = {name: "" if isinstance(value, str) else -1 for name, value in VALID[model].items()}
    assert body_type.model_validate({**body, "newField": 1}).model_dump(exclude_none=True) == body


@pytest.mark.parametrize("body", [ADJUST, FULL_ADJUST], ids=["without metadata", "with metadata"])
def test_the_shape_of_a_request_is_what_its_json_would_give(body: dict[str, Any]) -> None:
    """Histories hold the shape: it has texts and integers where the request has enums."""
    shape = AdjustRequest.model_validate(body).body()
    assert shape == AdjustBody.model_validate(body)
    assert {type(value) for _, value in shape} <= {str, int, type(None)}
    assert shape.model_dump_json() == AdjustBody.model_validate(body).model_dump_json()


@pytest.mark.parametrize("model", MODELS)
def test_body_and_request_have_the_same_fields(model: type[BaseModel]) -> None:
    assert set(BODIES[model].model_fields) == set(model.model_fields)


def test_cancel_adjust_copies_everything_but_the_sign_and_its_own_fields() -> None:
    body = {**FULL_ADJUST, "operationType": "ABNORMAL_OVERTRADING", "amount": "-12.50"}
    adjust = AdjustRequest.model_validate(body)
    cancel = CancelAdjustBody.undoing(adjust, number="CA1-x", request_time_ms=1_760_000_003_000, remark="no reply")
    kept = ("thirdServerCode", "userName", "currency", "bizType", "amountDigits", "orderId", "ip", "metadata")
    assert cancel.wire() == {name: body[name] for name in kept} | {
        "amount": "12.50",
        "requestUniqueNo": "CA1-x",
        "reverseRequestUniqueNo": "ORD-1",
        "requestTime": 1_760_000_003_000,
        "cancelRemark": "no reply",
    }


def test_cancel_operation_copies_the_fields_of_table_3() -> None:
    adjust = AdjustRequest.model_validate(FULL_ADJUST)
    cancel = CancelOperationBody.undoing(adjust, number="CA1-x", request_time_ms=1_760_000_003_000, remark="no reply")
    assert cancel.wire() == {
        "username": "user-7",
        "tx_reverse_id": "ORD-1",
        "reverse_type": 1,
        "txid": "CA1-x",
        "requesttime": 1_760_000_003_000,
        "ip": "203.0.113.7",
        "cancel_remark": "no reply",
    }


@pytest.mark.parametrize("body", [ADJUST, FULL_ADJUST], ids=["required fields", "all fields"])
def test_cancel_of_a_valid_adjust_is_valid_in_both_variants(body: dict[str, Any]) -> None:
    adjust = AdjustRequest.model_validate(body)
    arguments: dict[str, Any] = {"number": "CA1-x", "request_time_ms": 1_760_000_003_000, "remark": "no reply"}
    assert refusals(CancelAdjustRequest, dict(CancelAdjustBody.undoing(adjust, **arguments).wire())) == {}
    assert refusals(CancelOperationRequest, dict(CancelOperationBody.undoing(adjust, **arguments).wire())) == {}


@pytest.mark.parametrize("biz_type", list(BizType))
def test_only_a_market_close_is_reversed_as_closing_a_position(biz_type: BizType) -> None:
    closing = biz_type == 2
    assert reverse_type_of(biz_type) is (ReverseType.CLOSE_POSITION if closing else ReverseType.PLACE_ORDER)


@given(st.integers().filter(lambda each: each != 2))
def test_every_other_biz_type_is_reversed_as_placing_an_order(biz_type: int) -> None:
    assert reverse_type_of(biz_type) is ReverseType.PLACE_ORDER


def test_published_codes_are_these() -> None:
    """Values that are sent to brokers; a change breaks every broker.

    See docs/contract.md#table-1, docs/contract.md#table-3.
    """
    assert {each.name: each.value for each in BizType} == {
        "MARKET_OPEN": 1,
        "MARKET_CLOSE": 2,
        "LIMIT_PENDING": 10,
        "STOP_LOSS_PENDING": 11,
        "LIMIT_OPEN": 12,
    }
    assert {each.value for each in OperationType} == {"OPEN_POSITION", "NORMAL_CLOSE", "ABNORMAL_OVERTRADING"}
    assert [each.value for each in ReverseType] == [1, 2]


def test_repeated_cancel_has_the_same_body() -> None:
    adjust = AdjustRequest.model_validate(FULL_ADJUST)
    first, second = (
        CancelAdjustBody.undoing(adjust, number="CA1-x", request_time_ms=1_760_000_003_000, remark="no reply").wire()
        for _ in range(2)
    )
    assert list(first.items()) == list(second.items())


def test_valid_cancel_body_is_accepted_with_its_optional_fields() -> None:
    body = {**CANCEL_ADJUST, "thirdServerCode": "customer-7", "orderId": 4711, "metadata": "{}"}
    assert refusals(CancelAdjustRequest, body) == {}
