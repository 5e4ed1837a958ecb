"""Valid bodies of tables 1 to 3, and the errors of a model for a changed body."""

import json
from typing import Any

from pydantic import BaseModel, ValidationError

from contract.adjust import AdjustRequest
from contract.cancel_adjust import CancelAdjustRequest
from contract.cancel_operation import CancelOperationRequest

ADJUST: dict[str, Any] = {
    "thirdServerCode": "customer-7",
    "userName": "user-7",
    "currency": "USD",
    "bizType": 1,
    "operationType": "OPEN_POSITION",
    "amountDigits": 2,
    "amount": "12.50",
    "orderId": 4711,
    "requestUniqueNo": "ORD-1",
    "requestTime": 1_760_000_000_000,
    "ip": "203.0.113.7",
}

CANCEL_ADJUST: dict[str, Any] = {
    "userName": "user-7",
    "currency": "USD",
    "bizType": 1,
    "amountDigits": 2,
    "amount": "12.50",
    "requestUniqueNo": "CA1-1",
    "reverseRequestUniqueNo": "ORD-1",
    "requestTime": 1_760_000_003_000,
    "ip": "203.0.113.7",
    "cancelRemark": "no reply in time",
}

CANCEL_OPERATION: dict[str, Any] = {
    "username": "user-7",
    "tx_reverse_id": "ORD-1",
    "reverse_type": 1,
    "txid": "CA1-1",
    "requesttime": 1_760_000_003_000,
    "ip": "203.0.113.7",
    "cancel_remark": "no reply in time",
}

VALID: dict[type[BaseModel], dict[str, Any]] = {
    AdjustRequest: ADJUST,
    CancelAdjustRequest: CANCEL_ADJUST,
    CancelOperationRequest: CANCEL_OPERATION,
}
"""Every request model, with a body that has exactly its required fields."""


def refusals(model: type[BaseModel], body: dict[str, Any]) -> dict[str, str]:
    """Return the message for each refused field; empty if accepted. Check that JSON text and parsed JSON agree."""
    from_python = _refusals(lambda: model.model_validate(body))
    if _is_unicode(body):
        text = json.dumps(body)
        assert _refusals(lambda: model.model_validate_json(text)).keys() == from_python.keys()
    return from_python


def _refusals(validate: Any) -> dict[str, str]:  # noqa: ANN401 - any callable
    try:
        validate()
    except ValidationError as error:
        found = error.errors()
        by_field = {".".join(map(str, each["loc"])): each["msg"] for each in found}
        assert len(by_field) == len(found), "one error per field"
        return by_field
    return {}


def _is_unicode(body: dict[str, Any]) -> bool:
    """Tell whether a body can be encoded as UTF-8: a lone surrogate cannot."""
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
