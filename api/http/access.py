"""Authentication and authorization: each route names the permission it requires by one of the types below.

`AccessMiddleware` checks before anything else of the request is read, so a caller without permission learns nothing of
the rules of a route. The dependency of the route checks once more, in case the middleware is missing or bypassed.
"""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import structlog
from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.problems import PATH_LOGGED_MAX, ProblemError, ledger_unavailable
from api.http.route_match import route_of
from api.services import services_of
from config.sampling import SampledLog
from config.settings import is_loopback
from schemas.problems import ErrorCode
from settlement.keys import PERMISSIONS, Permission, Role

log = SampledLog(structlog.get_logger())

LOCAL_OWNER = "local"
"""Owner of every call if SETTLEMENT_AUTH is off."""

CHALLENGE = {"WWW-Authenticate": "Bearer"}
_CALLER = "order_settlement.caller"


@dataclass(frozen=True)
class Caller:
    """The owner of the key, under whose name actions are audited. `role` is None, and permits all, if auth is off."""

    owner: str
    role: Role | None

    def has(self, permission: Permission) -> bool:
        """Return whether the caller has a permission."""
        return self.role is None or permission in PERMISSIONS[self.role]


class Requires:
    """A dependency that returns the caller if the caller has a permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Caller:
        """Return the caller. Raises the errors of `authorize`."""
        return await authorize(request, self.permission)


Submitter = Annotated[Caller, Depends(Requires(Permission.SUBMIT))]
Reader = Annotated[Caller, Depends(Requires(Permission.READ))]
Actor = Annotated[Caller, Depends(Requires(Permission.ACT))]
KeyManager = Annotated[Caller, Depends(Requires(Permission.MANAGE_KEYS))]


async def authorize(request: Request, permission: Permission) -> Caller:
    """Return the caller if the caller has a permission. The key is looked up once per request.

    Raises ProblemError UNAUTHENTICATED or FORBIDDEN; SQLAlchemyError or OSError if the ledger, which stores the keys,
    is unreachable. In all cases nothing was done.
    """
    caller: Caller | None = request.scope.get(_CALLER)
    if caller is None:
        caller = request.scope[_CALLER] = await _identify(request)
    if not caller.has(permission):
        log.warning(
            "permission denied",
            path=request.url.path[:PATH_LOGGED_MAX],
            owner=caller.owner,
            role=caller.role,
            required=permission.value,
        )
        raise ProblemError(ErrorCode.FORBIDDEN, f"this request requires a key with the permission {permission}")
    return caller


async def is_still_authorized(request: Request, permission: Permission) -> bool:
    """Check the key of a request in progress again: return whether it is active and has a permission.

    Raises SQLAlchemyError or OSError if the ledger is unreachable; then the answer is not known.
    """
    services = services_of(request)
    if services.settings.auth == "off":
        return True
    key = await services.keys.verify(_bearer(request))
    return key is not None and permission in PERMISSIONS[key.role]


async def _identify(request: Request) -> Caller:
    services = services_of(request)
    if services.settings.auth == "off":
        _reject_cross_site(request)
        return Caller(LOCAL_OWNER, None)
    key = await services.keys.verify(_bearer(request))
    if key is None:
        log.warning("authentication failed", path=request.url.path[:PATH_LOGGED_MAX])
        detail = "send exactly one header Authorization: Bearer <api key>, with a key that is active"
        raise ProblemError(ErrorCode.UNAUTHENTICATED, detail, headers=CHALLENGE)
    return Caller(key.owner, key.role)


def _bearer(request: Request) -> str:
    """Return the credentials after `Bearer`; an empty text unless there is exactly one such header."""
    sent = request.headers.getlist("authorization")
    scheme, _, credentials = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    return credentials.strip(" ") if scheme.lower() == "bearer" else ""


def _reject_cross_site(request: Request) -> None:
    """Reject requests that a page of another site makes a browser on this machine send, if auth is off.

    Such a page reaches the loopback address under its own host name (DNS rebinding), or sends a cross-site request.
    """
    origins = request.headers.getlist("origin")
    urls = [f"//{request.headers.get('host', '')}", *origins]
    if not all(is_loopback(_host_of(url)) for url in urls):
        detail = "SETTLEMENT_AUTH is off: send requests to a loopback address, and not from a page of another site"
        raise ProblemError(ErrorCode.FORBIDDEN, detail)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def permission_of(route: BaseRoute) -> Permission | None:
    """Return the permission that a route requires; None if it is public."""
    return _required_permission(route.dependant) if isinstance(route, APIRoute) else None


def _required_permission(dependant: Dependant) -> Permission | None:
    if isinstance(dependant.call, Requires):
        return dependant.call.permission
    found = (_required_permission(dependency) for dependency in dependant.dependencies)
    return next((permission for permission in found if permission is not None), None)


class AccessMiddleware:
    """Answers 401 or 403, or 503 if the keys cannot be looked up, before the body of a request is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if the caller is authorized."""
        problem = await self._refusal(scope) if scope["type"] == "http" else None
        await (problem.response() if problem else self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> ProblemError | None:
        route = route_of(scope)
        permission = permission_of(route) if route is not None else None
        if permission is None:
            return None
        # The metrics count these responses under the route, too.
        scope["route"] = route
        try:
            await authorize(Request(scope), permission)
        except ProblemError as problem:
            return problem
        except (SQLAlchemyError, OSError) as error:
            return ledger_unavailable(scope["path"], error)
        return None
