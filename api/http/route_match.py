"""Which route a request meets, and which parameters that route reads."""

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


@dataclass(frozen=True)
class Parameters:
    """What a route reads besides its path and body, by the names that callers use."""

    query: frozenset[str]
    headers: frozenset[str]
    single_headers: frozenset[str]
    """Those that have one value."""


class RoutablePathMiddleware:
    """Has routes matched by the path as it came over the wire: a settlement's number may hold an encoded slash."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and scope.get("raw_path") is not None:
            scope["path"] = routable(scope["raw_path"])
        await self._app(scope, receive, send)


def route_of(scope: Scope) -> BaseRoute | None:
    """Return the route that answers a request; None: path or method is not known, or a mounted app answers."""
    app = scope["app"]
    routes: Sequence[BaseRoute] = [*app.state.endpoints, *app.routes]
    found = next((each for each in routes if each.matches(scope)[0] is Match.FULL), None)
    return found if isinstance(found, Route) else None


def parameters_of(route: BaseRoute) -> Parameters:
    """Return the parameters that a route declares; one that FastAPI did not make declares none."""
    dependants = list(_flat(route.dependant)) if isinstance(route, APIRoute) else []
    headers = [each for dependant in dependants for each in _named(dependant.header_params)]
    return Parameters(
        query=frozenset(name for dependant in dependants for name, _ in _named(dependant.query_params)),
        headers=frozenset(name for name, _ in headers),
        single_headers=frozenset(name for name, annotation in headers if not _is_list(annotation)),
    )


def _flat(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _flat(each)


def _named(fields: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the name and annotation of each parameter; a model stands for its fields."""
    for field in fields:
        annotation = field.field_info.annotation
        if isclass(annotation) and issubclass(annotation, BaseModel):
            yield from ((info.alias or name, info.annotation) for name, info in annotation.model_fields.items())
        else:
            yield field.alias, annotation


def _is_list(annotation: Any) -> bool:  # noqa: ANN401 - any annotation
    origin = get_origin(annotation)
    if origin in {Annotated, Union, UnionType}:
        return any(_is_list(each) for each in get_args(annotation))
    return origin is list or annotation is list
