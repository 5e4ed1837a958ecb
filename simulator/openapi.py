"""The OpenAPI documentation of the three operations, whose bodies FastAPI does not read itself."""

from typing import Any

from pydantic import BaseModel

from contract.fields import INT64_MAX, INT64_MIN
from contract.operations import Operation
from simulator.request_bodies import ReceivedAdjustRequest, ReceivedCancelAdjust, ReceivedCancelOperation

BODY_MODELS: dict[Operation, type[BaseModel]] = {
    Operation.ADJUST: ReceivedAdjustRequest,
    Operation.CANCEL_ADJUST: ReceivedCancelAdjust,
    Operation.CANCEL_OPERATION: ReceivedCancelOperation,
}

DESCRIPTIONS: dict[Operation, str] = {
    Operation.ADJUST: "Adjust a customer's credit (docs/contract.md#table-1).",
    Operation.CANCEL_ADJUST: "Reverse an adjust, or burn its number if it never came (docs/contract.md#table-2).",
    Operation.CANCEL_OPERATION: "The deprecated variant of cancel adjust (docs/contract.md#table-3).",
}
_ANSWERS = """

**Every refusal is HTTP 200** and a reply of table 4 with `ok` false, `fail` true and another code than `0`; a request
that breaks a rule or lacks a header gets `US_0000400`, and `msg` names each field. If the metadata or an outage asks
for a fault, the reply can be malformed, late, incomplete, of another type or missing, or the connection is reset.
"""

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Done, or refused: `code` says which"},
    302: {"description": "The fault `redirect`"},
    400: {"description": "The faults `reject_400` and `http_400`: a reply of table 4 under another status"},
    409: {"description": "The faults `reject_409` and `http_409`: a reply of table 4 under another status"},
    429: {"description": "The faults `busy`, with Retry-After", "content": {"text/plain": {}}},
    503: {"description": "The fault `unavailable`, with Retry-After", "content": {"text/plain": {}}},
    500: {"description": "The faults `http_500`, `fail` and an outage", "content": {"text/plain": {}}},
}

_HEADERS: list[dict[str, Any]] = [
    {
        "name": "trace",
        "in": "header",
        "required": True,
        "description": "Identifies the order through every call; the reply repeats it.",
        "schema": {"type": "string", "minLength": 1},
    },
    {
        "name": "timestamp",
        "in": "header",
        "required": True,
        "description": "Epoch milliseconds, 13 digits.",
        "schema": {"type": "string", "pattern": "^[0-9]{13}$"},
    },
    {
        "name": "companyId",
        "in": "header",
        "required": False,
        "schema": {"type": "integer", "format": "int64", "minimum": INT64_MIN, "maximum": INT64_MAX},
    },
]

_ADJUST_NUMBER = {
    Operation.ADJUST: "requestUniqueNo",
    Operation.CANCEL_ADJUST: "reverseRequestUniqueNo",
    Operation.CANCEL_OPERATION: "tx_reverse_id",
}
"""The field of each body that holds the number of the adjust."""


def request_documentation(operation: Operation) -> dict[str, Any]:
    """Return the parts of an operation's documentation that FastAPI cannot derive: its body and its headers."""
    schema = {key: part for key, part in _schema_of(operation).items() if key != "$defs"}
    extra: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
    if operation is not Operation.CANCEL_OPERATION:
        extra["parameters"] = _HEADERS
    return extra


def description(operation: Operation) -> str:
    """Return the text that says what an operation does and how it replies."""
    return DESCRIPTIONS[operation] + _ANSWERS


def links(operation: Operation) -> dict[str, Any]:
    """Return the OpenAPI links from an operation to the routes that show its effect."""
    number = f"$request.body#/{_ADJUST_NUMBER[operation]}"
    return {
        "number": {"operationId": "number", "parameters": {"number": number}},
        "calls": {"operationId": "calls", "parameters": {"number": number}},
    }


def schemas() -> dict[str, Any]:
    """Return the schemas that the bodies refer to, by name."""
    return {
        name: schema for operation in BODY_MODELS for name, schema in _schema_of(operation).get("$defs", {}).items()
    }


def _schema_of(operation: Operation) -> dict[str, Any]:
    return BODY_MODELS[operation].model_json_schema(ref_template="#/components/schemas/{model}")
