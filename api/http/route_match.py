"""Finds the route of a request, and the parameters that the route reads."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import isclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from contract.path_segments import routable

_ROUTE = "order_settlement.route"
"""Where a request keeps its route: several parts of the application need it."""


@dataclass(frozen=True)
class Parameters:
    """The query parameters and headers that a route reads, by the names that callers use."""

    query: frozenset[str]
    headers: frozenset[str]
    single_headers: frozenset[str]
    """Headers with a single value."""


class RoutablePathMiddleware:
    """Matches routes by the path as it was sent: a settlement's number may contain an encoded slash."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and scope.get("raw_path") is not None:
            scope["path"] = routable(scope["raw_path"])
        await self._app(scope, receive, send)


def route_of(scope: Scope) -> BaseRoute | None:
    """Return the route of a request; None if path or method is unknown, or if a mounted app answers."""
    if _ROUTE not in scope:
        app = scope["app"]
        routes = itertools.chain(app.state.endpoints, app.routes)
        found = next((route for route in routes if route.matches(scope)[0] is Match.FULL), None)
        scope[_ROUTE] = found if isinstance(found, Route) else None
    route: BaseRoute | None = scope[_ROUTE]
    return route


def parameters_of(route: BaseRoute) -> Parameters:
    """Return the parameters that a route declares; none if it is not a route of FastAPI."""
    dependants = list(_with_dependencies(route.dependant)) if isinstance(route, APIRoute) else []
    headers = [header for dependant in dependants for header in _names(dependant.header_params)]
    return Parameters(
        query=frozenset(name for dependant in dependants for name, _ in _names(dependant.query_params)),
        headers=frozenset(name for name, _ in headers),
        single_headers=frozenset(name for name, annotation in headers if not _is_list(annotation)),
    )


def _with_dependencies(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for dependency in dependant.dependencies:
        yield from _with_dependencies(dependency)


def _names(fields: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield name and annotation of each parameter. A model declares one parameter for each of its fields."""
    for field in fields:
        annotation = field.field_info.annotation
        if isclass(annotation) and issubclass(annotation, BaseModel):
            yield from ((info.alias or name, info.annotation) for name, info in annotation.model_fields.items())
        else:
            yield field.alias, annotation


def _is_list(annotation: Any) -> bool:  # noqa: ANN401 - any annotation
    origin = get_origin(annotation)
    if origin in {Annotated, Union, UnionType}:
        return any(_is_list(argument) for argument in get_args(annotation))
    return origin is list or annotation is list
