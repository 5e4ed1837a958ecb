"""Who is calling, and whether they may: each route names the permission it needs by one of the types below.

`AccessMiddleware` asks before anything else of the request is looked at, so that whoever may not enter learns
nothing of the rules inside; the route's own dependency asks once more, so that no way round leads in.
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

from api.http.problems import PATH_LOGGED_MAX, ProblemError, ledger_away
from api.http.route_match import route_of
from api.services import services_of
from config.sampling import SampledLog
from config.settings import is_loopback
from schemas.problems import ErrorCode
from settlement.keys import PERMISSIONS, Permission, Role

log = SampledLog(structlog.get_logger())

NOBODY_ASKED = "local"
"""Owner of every call where keys are off."""

CHALLENGE = {"WWW-Authenticate": "Bearer"}
_CALLER = "order_settlement.caller"


@dataclass(frozen=True)
class Caller:
    """Who is calling; what they do is audited under this name. No role: keys are off, and everything is allowed."""

    owner: str
    role: Role | None

    def may(self, permission: Permission) -> bool:
        """Tell whether the caller has a permission."""
        return self.role is None or permission in PERMISSIONS[self.role]


class Needs:
    """The dependency that lets in whoever has a permission, and says who it is."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Caller:
        """Return the caller; raises what `admit` does."""
        return await admit(request, self.permission)


Submitter = Annotated[Caller, Depends(Needs(Permission.SUBMIT))]
Reader = Annotated[Caller, Depends(Needs(Permission.READ))]
Actor = Annotated[Caller, Depends(Needs(Permission.ACT))]
KeyManager = Annotated[Caller, Depends(Needs(Permission.MANAGE_KEYS))]


async def admit(request: Request, permission: Permission) -> Caller:
    """Return who is calling, if they may; of one request the key is looked up once.

    Raises ProblemError UNAUTHENTICATED or FORBIDDEN, and SQLAlchemyError or OSError when the ledger, which has the
    keys, is out of reach. Nothing was done then.
    """
    caller: Caller | None = request.scope.get(_CALLER)
    if caller is None:
        caller = request.scope[_CALLER] = await _identify(request)
    if not caller.may(permission):
        log.warning(
            "not allowed",
            path=request.url.path[:PATH_LOGGED_MAX],
            owner=caller.owner,
            role=caller.role,
            needs=permission.value,
        )
        raise ProblemError(ErrorCode.FORBIDDEN, f"this needs a key with the permission {permission}")
    return caller


async def may_still(request: Request, permission: Permission) -> bool:
    """Tell whether the key of a request that is still being answered is active and has a permission.

    Raises SQLAlchemyError or OSError when the ledger is out of reach: then it is not known.
    """
    services = services_of(request)
    if services.settings.auth == "off":
        return True
    key = await services.keys.verify(_bearer(request))
    return key is not None and permission in PERMISSIONS[key.role]


async def _identify(request: Request) -> Caller:
    services = services_of(request)
    if services.settings.auth == "off":
        _refuse_other_sites(request)
        return Caller(NOBODY_ASKED, None)
    key = await services.keys.verify(_bearer(request))
    if key is None:
        log.warning("not authenticated", path=request.url.path[:PATH_LOGGED_MAX])
        detail = "send one header Authorization: Bearer <api key>; the key must be known and active"
        raise ProblemError(ErrorCode.UNAUTHENTICATED, detail, headers=CHALLENGE)
    return Caller(key.owner, key.role)


def _bearer(request: Request) -> str:
    """Return what stands behind `Bearer`; nothing if there is no such header, or more than one."""
    sent = request.headers.getlist("authorization")
    scheme, _, credentials = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    return credentials.strip(" ") if scheme.lower() == "bearer" else ""


def _refuse_other_sites(request: Request) -> None:
    """Where keys are off, refuse what a page of another site has a browser on this machine send.

    Such a page reaches loopback under a name of its own (DNS rebinding), or sends a request across sites.
    """
    origins = request.headers.getlist("origin")
    named = [f"//{request.headers.get('host', '')}", *origins]
    if not all(is_loopback(_host_of(each)) for each in named):
        detail = "SETTLEMENT_AUTH is off: only requests to a loopback address, from no other site's page, are answered"
        raise ProblemError(ErrorCode.FORBIDDEN, detail)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def permission_of(route: BaseRoute) -> Permission | None:
    """Return the permission that a route names; None: it is open to everybody."""
    return _named_by(route.dependant) if isinstance(route, APIRoute) else None


def _named_by(dependant: Dependant) -> Permission | None:
    if isinstance(dependant.call, Needs):
        return dependant.call.permission
    found = (_named_by(each) for each in dependant.dependencies)
    return next((each for each in found if each is not None), None)


class AccessMiddleware:
    """Answers 401, 403, or 503 where the keys cannot be looked up, before a request's body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may enter."""
        problem = await self._refusal(scope) if scope["type"] == "http" else None
        await (problem.response() if problem else self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> ProblemError | None:
        route = route_of(scope)
        permission = permission_of(route) if route is not None else None
        if permission is None:
            return None
        # Answers are counted by route, and refusals too.
        scope["route"] = route
        try:
            await admit(Request(scope), permission)
        except ProblemError as problem:
            return problem
        except (SQLAlchemyError, OSError) as error:
            return ledger_away(scope["path"], error)
        return None
