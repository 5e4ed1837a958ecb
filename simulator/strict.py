"""Refuses ambiguous requests, such as repeated headers and unknown parameters (`contract.strict_requests`)."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from contract.path_segments import routable
from contract.strict_requests import BrokenRule, header_problems, query_problems, without_blank_parameters
from simulator import inspection

CONTRACT_HEADERS = frozenset({"trace", "companyId", "timestamp", "token", "lang", "group", "version"})
"""The headers of the three operations; each has exactly one value."""
_OTHER_HEADERS = frozenset({"Content-Type", "Content-Length"})


def ambiguities(scope: Scope) -> Iterator[str]:
    """Yield each ambiguity in the headers and query of one of the three operations; each names its field."""
    for broken in header_problems(scope["headers"], sorted(CONTRACT_HEADERS | _OTHER_HEADERS), CONTRACT_HEADERS):
        yield f"header {broken.field}: {broken.rule}"
    for broken in query_problems(scope["query_string"], (), CONTRACT_HEADERS):
        yield f"query {broken.field}: {broken.rule}"


class StrictMiddleware:
    """Routes requests by the path as it was sent, and checks the queries of the inspection routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 422 to an ambiguous query of an inspection route; pass other requests on, without blank parameters."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = routable(scope["raw_path"])
        route = _inspection_route(scope)
        if route is not None:
            problems = list(
                query_problems(scope["query_string"], _documented_parameters(scope["app"], route, scope["method"]), ())
            )
            if problems:
                await _refusal(problems)(scope, receive, send)
                return
            scope["query_string"] = without_blank_parameters(scope["query_string"])
        await self._app(scope, receive, send)


def _inspection_route(scope: Scope) -> Route | None:
    routes: list[BaseRoute] = inspection.router.routes
    found = next((route for route in routes if route.matches(scope)[0] is Match.FULL), None)
    return found if isinstance(found, Route) else None


def _documented_parameters(app: FastAPI, route: Route, method: str) -> frozenset[str]:
    """Return the names of the route's query parameters in the OpenAPI document."""
    operation: dict[str, Any] = app.openapi()["paths"].get(route.path_format, {}).get(method.lower(), {})
    return frozenset(each["name"] for each in operation.get("parameters", []) if each["in"] == "query")


def _refusal(problems: list[BrokenRule]) -> JSONResponse:
    """Return a 422 in the same form as FastAPI's own."""
    detail = [{"type": "query", "loc": ["query", broken.field], "msg": broken.rule} for broken in problems]
    return JSONResponse({"detail": detail}, HTTPStatus.UNPROCESSABLE_ENTITY)
