"""The OpenAPI document: FastAPI's, with problems under their own media type only."""

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.problems import CONTENT_TYPE
from contract.fields import INT64_MAX, INT64_MIN


def operation_id(route: APIRoute) -> str:
    """Name an operation by its endpoint's function."""
    return route.name


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what builds the app's document, once, with three things of FastAPI's mended.

    It lists a declared model under application/json whatever stands beside it, it declares a 422 of its
    own for every path parameter, and it turns the bounds of integers into floats.
    """
    build = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = build()
            for operations in document["paths"].values():
                for operation in operations.values():
                    operation["responses"] = dict(_mended(operation["responses"]))
            document["components"]["schemas"].pop("HTTPValidationError", None)
            document["components"]["schemas"].pop("ValidationError", None)
            _make_bounds_whole(document)
        return build()

    return openapi


def _mended(responses: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for status, response in responses.items():
        content = response.get("content", {})
        if CONTENT_TYPE in content:
            content.pop("application/json", None)
        if "HTTPValidationError" not in str(content):
            yield status, response


def _make_bounds_whole(node: object) -> None:
    if isinstance(node, dict):
        for bound in ("minimum", "maximum"):
            if node.get("type") == "integer" and isinstance(node.get(bound), float):
                node[bound] = max(INT64_MIN, min(INT64_MAX, int(node[bound])))
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            _make_bounds_whole(each)
