"""The OpenAPI document: FastAPI's, with problems, links between operations, and who may call what."""

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.http.access import permission_of
from api.http.problems import CONTENT_TYPE, documented
from contract.fields import restore_integer_bounds
from schemas.problems import ErrorCode
from settlement.keys import Permission

_NUMBER = {"requestUniqueNo": "$response.body#/requestUniqueNo"}
_NUMBER_ASKED = {"requestUniqueNo": "$request.path.requestUniqueNo"}
_BATCH = {"batchId": "$response.body#/batchId"}
_KEY = {"keyId": "$response.body#/keyId"}

_READ = ("get_settlement", "get_settlement_events", "explain_settlement")
_ACT = ("post_cancel_adjust_retry", "post_resolution")

_TARGETS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "post_settlement": ((*_READ, *_ACT), _NUMBER),
    "get_settlement": (("get_settlement_events", "explain_settlement", *_ACT), _NUMBER),
    "explain_settlement": (_ACT, _NUMBER_ASKED),
    "post_cancel_adjust_retry": ((*_READ, "post_resolution"), _NUMBER),
    "post_resolution": (_READ, _NUMBER),
    "list_settlements": (("list_settlements",), {"cursor": "$response.body#/nextCursor"}),
    "list_findings": (("list_findings",), {"before": "$response.body#/nextBefore"}),
    "post_batch_retry": (("get_batch_retry", "list_batch_items", "stop_batch_retry"), _BATCH),
    "get_batch_retry": (("list_batch_items", "stop_batch_retry"), _BATCH),
    "post_api_key": (("revoke_api_key",), _KEY),
}
"""By operation: the operations that its answer leads to, and where their parameters stand in it."""


def links_of(operation: str) -> dict[str, Any]:
    """Return the links of a successful answer of an operation, by the operation that each leads to."""
    targets, parameters = _TARGETS.get(operation, ((), {}))
    return {target: {"operationId": target, "parameters": parameters} for target in targets}


SCHEME = "apiKey"
_SCHEMES = {SCHEME: {"type": "http", "scheme": "bearer", "description": "An API key, `id.secret`."}}


def operation_id(route: APIRoute) -> str:
    """Name an operation by its endpoint's function."""
    return route.name


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what builds the app's document, once, with four things of FastAPI's mended, and with links.

    It lists a declared model under application/json whatever stands beside it, it declares a 422 of its
    own for every path parameter, it lets parameters be null, and it turns the bounds of integers into floats.
    """
    build = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = build()
            for operations in document["paths"].values():
                for operation in operations.values():
                    operation["responses"] = dict(_mended(operation["responses"]))
                    _mend_parameters(operation.get("parameters", []))
                    _link(operation)
            _say_who_may(app, document)
            document["components"]["schemas"].pop("HTTPValidationError", None)
            document["components"]["schemas"].pop("ValidationError", None)
            restore_integer_bounds(document)
        return build()

    return openapi


def _mended(responses: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for status, response in responses.items():
        content = response.get("content", {})
        if CONTENT_TYPE in content:
            content.pop("application/json", None)
        if "HTTPValidationError" not in str(content):
            yield status, response


def _mend_parameters(parameters: list[dict[str, Any]]) -> None:
    """Leave out null, which FastAPI allows where a parameter may be left out: no query and no header can say it."""
    for parameter in parameters:
        schema = parameter["schema"]
        kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
        parameter["schema"] = schema | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})


def _link(operation: dict[str, Any]) -> None:
    """Say under every successful answer with a resource in it where it leads."""
    links = links_of(operation["operationId"])
    for status, response in operation["responses"].items():
        if links and status.startswith("2") and "content" in response:
            response["links"] = links


def _say_who_may(app: FastAPI, document: dict[str, Any]) -> None:
    """Give every operation that names a permission its scheme, and the errors of those who may not."""
    document["components"]["securitySchemes"] = _SCHEMES
    for route in app.state.endpoints:
        permission = permission_of(route)
        if permission is not None and route.include_in_schema:
            for method in route.methods:
                _guard(document["paths"][route.path][method.lower()], permission)


def _guard(operation: dict[str, Any], permission: Permission) -> None:
    operation["x-permission"] = permission.value
    operation["security"] = [{SCHEME: []}]
    responses = operation["responses"]
    for status, added in _REFUSALS.items():
        codes = responses[status]["description"].split(" or ") if status in responses else []
        description = " or ".join(dict.fromkeys([*codes, *added["description"].split(" or ")]))
        responses[status] = {**added, "description": description}


def _refusals() -> dict[str, Any]:
    """Return what any operation with a permission may answer before it begins."""
    codes = (ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN, ErrorCode.LEDGER_UNAVAILABLE)
    refusals = {str(status): each for status, each in documented(*codes).items()}
    for each in refusals.values():
        del each["model"]
    refusals["401"]["headers"] = {"WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}}}
    return refusals


_REFUSALS = _refusals()
