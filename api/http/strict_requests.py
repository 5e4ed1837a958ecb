"""Strict reading of headers and queries on every route: rejects what is ambiguous and what no route reads."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.problems import FieldError, ProblemError, validation_problem
from api.http.route_match import Parameters, parameters_of, route_of
from contract.fields import INT64_MAX, INT64_MIN
from contract.strict_requests import (
    BrokenRule,
    header_problems,
    query_problems,
    without_blank_headers,
    without_blank_parameters,
)

STANDARD_HEADERS = frozenset(
    {
        "Authorization",
        "Content-Encoding",
        "Content-Length",
        "Content-Type",
        "Date",
        "Expect",
        "From",
        "Host",
        "Max-Forwards",
        "Origin",
        "Proxy-Authorization",
        "Range",
        "Referer",
        "traceparent",
        "User-Agent",
    }
)
"""Standard headers with a single value. All other headers that no route reads, such as X-Forwarded-For, may be
repeated."""
WITHOUT_COMMA = frozenset({"Content-Length", "Content-Type"})
"""Standard headers that the API reads and that never contain a comma."""


def _plain(value: object) -> object:
    """Reject what int() would accept: 1_0, blanks, a plus sign, digits of other scripts."""
    if isinstance(value, str) and not re.fullmatch("-?[0-9]{1,19}", value):
        message = "must be an integer"
        raise ValueError(message)
    return value


Plain = BeforeValidator(_plain)
"""Validates an integer that arrives as text. It goes last in `Annotated`: before the bounds it would hide them from
the OpenAPI document."""
PlainInt = Annotated[int, Plain]
PlainInt64 = Annotated[int, Field(ge=INT64_MIN, le=INT64_MAX), Plain]


class StrictRequestMiddleware:
    """Answers 422, with the name of each wrong header or parameter; removes blank ones.

    It runs after `AccessMiddleware`, so a caller without permission learns nothing of the rules.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._single: tuple[str, ...] = ()
        self._plain: frozenset[str] = frozenset()
        self._parameters: dict[int, Parameters] = {}
        """The parameters of each route that has had a request, by the identity of the route."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if it is unambiguous."""
        route = route_of(scope) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        if not self._single:
            self._read_routes(scope)
        problem = self._problem(scope, route)
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        scope["headers"] = without_blank_headers(scope["headers"], self._single)
        scope["query_string"] = without_blank_parameters(scope["query_string"])
        await self._app(scope, receive, send)

    def _read_routes(self, scope: Scope) -> None:
        """Collect the single-value headers of all routes. Every route checks them, also those that it does not read."""
        declared = (parameters_of(route).single_headers for route in scope["app"].state.endpoints)
        single = STANDARD_HEADERS.union(*declared)
        self._single, self._plain = tuple(sorted(single)), single - STANDARD_HEADERS | WITHOUT_COMMA

    def _problem(self, scope: Scope, route: BaseRoute) -> ProblemError | None:
        parameters = self._parameters.get(id(route))
        if parameters is None:
            parameters = self._parameters[id(route)] = parameters_of(route)
        broken: list[BrokenRule] = [
            *header_problems(scope["headers"], self._single, self._plain),
            *query_problems(scope["query_string"], parameters.query, parameters.headers),
        ]
        return validation_problem([FieldError(field=each.field, rule=each.rule) for each in broken]) if broken else None
