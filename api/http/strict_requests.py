"""Refuses requests whose headers or query could be read in two ways, or hold what no route reads; for every route."""

from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.problems import FieldError, ProblemError, validation_problem
from api.http.route_match import parameters_of, route_of
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
"""Headers of HTTP, and one of tracing, that have one value. All other unknown headers may be repeated, such as
X-Forwarded-For."""
WITHOUT_COMMA = frozenset({"Content-Length", "Content-Type"})
"""Those of them that are read here and never hold a comma."""


class StrictRequestMiddleware:
    """Answers 422 and names each header or parameter that is wrong; takes out those that are blank.

    It runs after `AccessMiddleware`, so that a caller without permission learns nothing of the rules.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._single: frozenset[str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what can be read in only one way."""
        route = route_of(scope) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        single = self._single_headers(scope)
        problem = _problem(scope, route, single)
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        scope["headers"] = without_blank_headers(scope["headers"], single)
        scope["query_string"] = without_blank_parameters(scope["query_string"])
        await self._app(scope, receive, send)

    def _single_headers(self, scope: Scope) -> frozenset[str]:
        """Return every header with one value that any route reads: sent to another route it means no less."""
        if self._single is None:
            declared = (parameters_of(route).single_headers for route in scope["app"].state.endpoints)
            self._single = STANDARD_HEADERS.union(*declared)
        return self._single


def _problem(scope: Scope, route: BaseRoute, single: frozenset[str]) -> ProblemError | None:
    parameters = parameters_of(route)
    broken: list[BrokenRule] = [
        *header_problems(scope["headers"], sorted(single), single - STANDARD_HEADERS | WITHOUT_COMMA),
        *query_problems(scope["query_string"], parameters.query, parameters.headers),
    ]
    return validation_problem([FieldError(field=each.field, rule=each.rule) for each in broken]) if broken else None
