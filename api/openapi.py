"""The OpenAPI document: FastAPI's, with problems under their own media type only."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.problems import CONTENT_TYPE


def operation_id(route: APIRoute) -> str:
    """Name an operation by its endpoint's function."""
    return route.name


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what builds the app's document, once.

    FastAPI lists a declared model under application/json, whatever media type stands beside it.
    """
    build = app.openapi

    def openapi() -> dict[str, Any]:
        document = build()
        for operations in document["paths"].values():
            for operation in operations.values():
                for response in operation["responses"].values():
                    content = response.get("content", {})
                    if CONTENT_TYPE in content:
                        content.pop("application/json", None)
        return document

    return openapi
