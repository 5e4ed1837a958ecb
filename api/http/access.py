"""Authentication and authorization: each route names the permission it requires by one of the types below.

`AccessMiddleware` checks before anything else of the request is read, so a caller without permission learns nothing of
the rules of a route. The dependency of the route checks once more, in case the middleware is missing or bypassed. It
also counts the request against the quota of its client.
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
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from api.http.problems import PATH_LOGGED_MAX, FieldError, ProblemError, ledger_unavailable
from api.http.route_match import route_of
from api.services import services_of
from config.fields import is_loopback
from config.sampling import SampledLog
from schemas.problems import ErrorCode
from settlement.keys import PERMISSIONS, Permission, Role
from settlement.scope import EVERYTHING, Scope
from settlement.start import SubmittedBy

log = SampledLog(structlog.get_logger())

LOCAL_CLIENT = "local"
"""Client of every call if SETTLEMENT_AUTH is off."""

CHALLENGE = {"WWW-Authenticate": "Bearer"}
_CALLER = "order_settlement.caller"


@dataclass(frozen=True)
class Caller:
    """The client of the key, under whose name orders and actions are recorded; the key, and what it may do.

    Without keys (auth is off), `role` is None and permits all, and the scope is everything.
    """

    client: str
    key_id: str | None
    role: Role | None
    scope: Scope

    def has(self, permission: Permission) -> bool:
        """Return whether the caller has a permission."""
        return self.role is None or permission in PERMISSIONS[self.role]

    @property
    def has_quotas(self) -> bool:
        """Whether the quotas of a client apply: without keys there are no clients."""
        return self.key_id is not None

    @property
    def as_operator(self) -> dict[str, str | None]:
        """The caller as log lines name an operator."""
        return {"operator": self.client, "key_id": self.key_id}

    @property
    def submitted_by(self) -> SubmittedBy:
        """The caller as the ledger records who submitted an order."""
        return SubmittedBy(client=self.client, key_id=self.key_id)

    def check_company(self, company_id: int | None, what: str) -> None:
        """Raise ProblemError COMPANY_FORBIDDEN unless a company is in the scope. `what` must name it, as `an order`."""
        if self.scope.includes(company_id):
            return
        if company_id is None:
            detail = f"{what} without companyId requires a key with the scope all; this key has {self.scope}"
        else:
            detail = f"company {company_id} is not in the scope of this key, which is {self.scope}"
        log.warning("company not in scope", client=self.client, key_id=self.key_id, company_id=company_id)
        rule = f"must be one of {self.scope}"
        raise ProblemError(ErrorCode.COMPANY_FORBIDDEN, detail, errors=[FieldError(field="companyId", rule=rule)])


@dataclass(frozen=True)
class Requirement:
    """What a route requires of its caller."""

    permission: Permission
    everything: bool = False
    """Whether it concerns the whole installation, and so requires a key with the scope `all`."""
    browser: bool = False
    """Whether the session of a browser at the codec server is accepted instead of a key."""


class Requires:
    """A dependency that returns the caller if the caller meets a requirement."""

    def __init__(self, permission: Permission, *, everything: bool = False, browser: bool = False) -> None:
        self.requirement = Requirement(permission, everything, browser)

    async def __call__(self, request: Request) -> Caller:
        """Return the caller. Raises the errors of `authorize`."""
        return await authorize(request, self.requirement)


Submitter = Annotated[Caller, Depends(Requires(Permission.SUBMIT))]
Reader = Annotated[Caller, Depends(Requires(Permission.READ))]
Actor = Annotated[Caller, Depends(Requires(Permission.ACT))]
InstallationReader = Annotated[Caller, Depends(Requires(Permission.READ, everything=True))]
InstallationActor = Annotated[Caller, Depends(Requires(Permission.ACT, everything=True))]
PayloadDecoder = Annotated[Caller, Depends(Requires(Permission.READ, everything=True, browser=True))]
PayloadEncoder = Annotated[Caller, Depends(Requires(Permission.ACT, everything=True, browser=True))]
SecurityReader = Annotated[Caller, Depends(Requires(Permission.READ_SECURITY_EVENTS, everything=True))]
KeyManager = Annotated[Caller, Depends(Requires(Permission.MANAGE_KEYS, everything=True))]


async def authorize(request: Request, requirement: Requirement) -> Caller:
    """Return the caller if the caller meets a requirement. The key is looked up once per request.

    Raises ProblemError UNAUTHENTICATED or FORBIDDEN; SQLAlchemyError or OSError if the ledger, which stores the keys,
    is unreachable. In all cases nothing was done.
    """
    caller = await authenticate(request, requirement)
    if not caller.has(requirement.permission):
        detail = f"this request requires a key with the permission {requirement.permission}"
    elif requirement.everything and not caller.scope.is_everything:
        detail = "this request concerns the whole installation; it requires a key with the scope all"
    else:
        return caller
    log.warning(
        "permission denied",
        path=request.url.path[:PATH_LOGGED_MAX],
        client=caller.client,
        key_id=caller.key_id,
        role=caller.role,
        scope=str(caller.scope),
        required=requirement.permission.value,
    )
    raise ProblemError(ErrorCode.FORBIDDEN, detail)


async def authenticate(request: Request, requirement: Requirement) -> Caller:
    """Return who sends a request. Raises the errors of `authorize`, except those about permission and scope."""
    caller: Caller | None = request.scope.get(_CALLER)
    if caller is None:
        caller = request.scope[_CALLER] = await _identify(request, requirement)
    return caller


async def is_still_authorized(request: Request, permission: Permission) -> bool:
    """Check the key of a request in progress again: return whether it is active and has a permission.

    Its scope cannot have changed: a row with another scope is rejected.

    Raises SQLAlchemyError or OSError if the ledger is unreachable; then the answer is not known.
    """
    services = services_of(request)
    if services.settings.auth == "off":
        return True
    key = await services.keys.verify(_bearer(request))
    return key is not None and permission in PERMISSIONS[key.role]


async def _identify(request: Request, requirement: Requirement) -> Caller:
    services = services_of(request)
    if services.settings.auth == "off":
        _reject_cross_site(request)
        return Caller(LOCAL_CLIENT, None, None, EVERYTHING)
    sent = _bearer(request)
    if requirement.browser and services.codec is not None and "authorization" not in request.headers:
        sent = services.codec.session_key(request)
    key = await services.keys.verify(sent)
    if key is None:
        services.refused_keys.note(sent)
        log.warning("authentication failed", path=request.url.path[:PATH_LOGGED_MAX])
        detail = (
            "send exactly one header Authorization: Bearer <api key>, with a key that is neither revoked nor expired"
        )
        raise ProblemError(ErrorCode.UNAUTHENTICATED, detail, headers=CHALLENGE)
    return Caller(key.client, key.key_id, key.role, key.scope)


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


def requirement_of(route: BaseRoute) -> Requirement | None:
    """Return what a route requires of its caller; None if it is public."""
    return _requirement(route.dependant) if isinstance(route, APIRoute) else None


def _requirement(dependant: Dependant) -> Requirement | None:
    if isinstance(dependant.call, Requires):
        return dependant.call.requirement
    found = (_requirement(dependency) for dependency in dependant.dependencies)
    return next((requirement for requirement in found if requirement is not None), None)


class AccessMiddleware:
    """Answers 401, 403 or 429, or 503 if the keys cannot be looked up, before the body of a request is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Pass the request on if the caller is authorized and within its quota."""
        problem = await self._refusal(scope) if scope["type"] == "http" else None
        caller: Caller | None = scope.get(_CALLER)
        if caller is not None and caller.has_quotas:
            send = services_of(Request(scope)).quotas.requests.announcing(caller.client, send)
        await (problem.response() if problem else self._app)(scope, receive, send)

    async def _refusal(self, scope: AsgiScope) -> ProblemError | None:
        route = route_of(scope)
        requirement = requirement_of(route) if route is not None else None
        if requirement is None:
            return None
        # The metrics count these responses under the route, too.
        scope["route"] = route
        try:
            caller = await authenticate(Request(scope), requirement)
            # A request without permission counts, too.
            if caller.has_quotas:
                await services_of(Request(scope)).quotas.requests.count(caller.client)
            await authorize(Request(scope), requirement)
        except ProblemError as problem:
            return problem
        except (SQLAlchemyError, OSError) as error:
            return ledger_unavailable(scope["path"], error)
        return None
