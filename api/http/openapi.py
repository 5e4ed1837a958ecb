"""The OpenAPI document: FastAPI's, plus problems, links between operations, and required permissions."""

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.http.access import Requirement, requirement_of
from api.http.problems import CONTENT_TYPE, documented
from contract.fields import restore_integer_bounds
from schemas.problems import ErrorCode

_SETTLEMENT = {"requestUniqueNo": "$response.body#/requestUniqueNo", "system": "$response.body#/system"}
_BATCH = {"batchId": "$response.body#/batchId"}
_KEY = {"keyId": "$response.body#/keyId"}
_STATEMENT = {"statementId": "$response.body#/statementId"}

_READ = ("get_settlement", "get_settlement_events", "explain_settlement")
_ACT = ("post_cancel_adjust_retry", "post_resolution")

_LINKS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "post_settlement": ((*_READ, *_ACT), _SETTLEMENT),
    "get_settlement": (("get_settlement_events", "explain_settlement", *_ACT), _SETTLEMENT),
    "explain_settlement": (_ACT, _SETTLEMENT),
    "post_cancel_adjust_retry": ((*_READ, "post_resolution"), _SETTLEMENT),
    "post_resolution": (_READ, _SETTLEMENT),
    "list_settlements": (("list_settlements",), {"cursor": "$response.body#/nextCursor"}),
    "list_findings": (("list_findings",), {"before": "$response.body#/nextBefore"}),
    "post_batch_retry": (("get_batch_retry", "list_batch_items", "stop_batch_retry"), _BATCH),
    "get_batch_retry": (("list_batch_items", "stop_batch_retry"), _BATCH),
    "post_statement": (("get_statement", "post_statement_lines", "post_statement_comparison"), _STATEMENT),
    "post_statement_lines": (("get_statement", "post_statement_comparison"), _STATEMENT),
    "post_api_key": (("revoke_api_key",), _KEY),
}
"""By operation: the operations that its response links to, and where the response has their parameters."""


def links_of(operation: str) -> dict[str, Any]:
    """Return the links of a successful response of an operation, by target operation."""
    targets, parameters = _LINKS.get(operation, ((), {}))
    return {target: {"operationId": target, "parameters": parameters} for target in targets}


SCHEME = "apiKey"
_SCHEMES = {SCHEME: {"type": "http", "scheme": "bearer", "description": "An API key, `id.secret`."}}


def operation_id(route: APIRoute) -> str:
    """Name an operation after the function of its endpoint."""
    return route.name


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return the function that builds the app's document once, with links and with four corrections of FastAPI's.

    FastAPI lists a declared model under application/json in addition to the declared media type, declares its own 422
    for every path parameter, allows parameters to be null, and turns the bounds of integers into floats.
    """
    build = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = build()
            for operations in document["paths"].values():
                for operation in operations.values():
                    operation["responses"] = dict(_corrected(operation["responses"]))
                    _correct_parameters(operation.get("parameters", []))
                    _add_links(operation)
            _add_permissions(app, document)
            document["components"]["schemas"].pop("HTTPValidationError", None)
            document["components"]["schemas"].pop("ValidationError", None)
            restore_integer_bounds(document)
        return build()

    return openapi


def _corrected(responses: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for status, response in responses.items():
        content = response.get("content", {})
        if CONTENT_TYPE in content:
            content.pop("application/json", None)
        if "HTTPValidationError" not in str(content):
            yield status, response


def _correct_parameters(parameters: list[dict[str, Any]]) -> None:
    """Remove null from optional parameters: no query and no header can express it."""
    for parameter in parameters:
        schema = parameter["schema"]
        kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
        parameter["schema"] = schema | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})


def _add_links(operation: dict[str, Any]) -> None:
    """Add the links to every successful response with a body."""
    links = links_of(operation["operationId"])
    for status, response in operation["responses"].items():
        if links and status.startswith("2") and "content" in response:
            response["links"] = links


def _add_permissions(app: FastAPI, document: dict[str, Any]) -> None:
    """Add the security scheme and the errors of authorization to every operation that requires a permission."""
    document["components"]["securitySchemes"] = _SCHEMES
    for route in app.state.endpoints:
        requirement = requirement_of(route)
        if requirement is not None and route.include_in_schema:
            for method in route.methods:
                _add_permission(document["paths"][route.path][method.lower()], requirement)


def _add_permission(operation: dict[str, Any], requirement: Requirement) -> None:
    operation["x-permission"] = requirement.permission.value
    if requirement.everything:
        operation["x-scope"] = "all"
    operation["security"] = [{SCHEME: []}]
    responses = operation["responses"]
    for status, added in _AUTHORIZATION_ERRORS.items():
        codes = responses[status]["description"].split(" or ") if status in responses else []
        description = " or ".join(dict.fromkeys([*codes, *added["description"].split(" or ")]))
        responses[status] = {**added, "description": description}


def _authorization_errors() -> dict[str, Any]:
    """Return the responses of any operation that requires a permission, before it starts."""
    codes = (ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN, ErrorCode.RATE_LIMITED, ErrorCode.LEDGER_UNAVAILABLE)
    responses = {str(status): response for status, response in documented(*codes).items()}
    for response in responses.values():
        del response["model"]
    responses["401"]["headers"] = {"WWW-Authenticate": _header("`Bearer`")}
    responses["429"]["headers"] = {
        "Retry-After": _header("Seconds."),
        "RateLimit-Policy": _header('The quota of the client, as in `"requests";q=500;w=1`: 500 in 1 s.'),
        "RateLimit": _header('What is left of it, as in `"requests";r=0;t=1`: nothing; everything in 1 s.'),
    }
    return responses


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


_AUTHORIZATION_ERRORS = _authorization_errors()
