"""Every error of the API as RFC 9457 problem+json: a stable code, and no internal details."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from config.sampling import SampledLog
from schemas.problems import STATUS_OF, ErrorCode

log = structlog.get_logger()
sampled = SampledLog(structlog.get_logger())

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
ERRORS_MAX = 20
"""Broken rules named in one response. Every unknown field breaks one, and a body has room for thousands."""
FIELD_LENGTH_MAX = 300
PATH_LOGGED_MAX = 200
"""Characters of a path in a log line. A path may have thousands."""
_UNENCODED_PLUS = re.compile(r"[0-9-]{8,10}[Tt ][0-9:.]+ [0-9]{2}(:?[0-9]{2})?")
"""A time whose offset begins with a space, because its + was not percent-encoded."""


class FieldError(BaseModel):
    """One broken rule."""

    field: str = Field(examples=["amount"])
    rule: str = Field(examples=["must be positive for operationType OPEN_POSITION"])


class Problem(BaseModel):
    """RFC 9457. Clients switch on `code`. `docs/errors.md` says what each code means for the money."""

    type: str = Field(examples=["urn:order-settlement:problem:validation-failed"])
    title: str
    status: int
    code: ErrorCode
    detail: str
    errors: list[FieldError] | None = None


class ProblemError(Exception):
    """An error of an endpoint; the response is its `Problem`."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
        retry_after_s: int = RETRY_AFTER_S,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(
            type=f"urn:order-settlement:problem:{code}",
            title=code.replace("-", " ").capitalize(),
            status=STATUS_OF[code],
            code=code,
            detail=detail,
            errors=list(errors) or None,
        )
        self.headers = dict(headers or {})
        if self.problem.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
            self.headers["Retry-After"] = str(retry_after_s)

    def response(self) -> JSONResponse:
        """Return the HTTP response."""
        return JSONResponse(
            self.problem.model_dump(mode="json", exclude_none=True),
            status_code=self.problem.status,
            headers=self.headers,
            media_type=CONTENT_TYPE,
        )


BODY_ERRORS = (
    ErrorCode.VALIDATION_FAILED,
    ErrorCode.MALFORMED_REQUEST,
    ErrorCode.BODY_TOO_LARGE,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE,
)
"""Errors of every operation with a body."""


def documented(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of an operation: these errors, and those of every operation."""
    by_status: dict[int, list[str]] = {}
    for code in (*codes, ErrorCode.VALIDATION_FAILED, ErrorCode.INTERNAL):
        names = by_status.setdefault(int(STATUS_OF[code]), [])
        names += [] if code in names else [code]
    return {
        status: {
            "model": Problem,
            "description": " or ".join(names),
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, names in by_status.items()
    }


def install(app: FastAPI) -> None:
    """Answer every exception of the app with a problem."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    for unreachable in (SQLAlchemyError, OSError):
        app.add_exception_handler(unreachable, _on_ledger)
    # The database responds and rejects a row: our defect. Repeating the request does not help, so it is not a 503.
    app.add_exception_handler(IntegrityError, _on_unexpected)
    app.add_exception_handler(Exception, _on_unexpected)


async def _on_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for this class only
    return error.response()


async def _on_validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    return validation_problem([_field_error(each) for each in error.errors()]).response()


def validation_problem(broken: Sequence[FieldError]) -> ProblemError:
    """Return the problem that names broken rules, at most `ERRORS_MAX` of them."""
    errors = [each.model_copy(update={"field": each.field[:FIELD_LENGTH_MAX]}) for each in broken[:ERRORS_MAX]]
    detail = "; ".join(f"{each.field}: {each.rule}" for each in errors)
    if len(broken) > ERRORS_MAX:
        detail += f"; and {len(broken) - ERRORS_MAX} more"
    return ProblemError(ErrorCode.VALIDATION_FAILED, detail, errors=errors)


def _field_error(error: dict[str, Any]) -> FieldError:
    """Name the field by its path, without the part of the request (body, query) and never with its value."""
    path = [str(part) for part in error["loc"][1:]]
    rule = error["msg"].removeprefix("Value error, ")
    if error["loc"][0] == "query" and _UNENCODED_PLUS.fullmatch(str(error["input"])):
        rule += "; in a query the + of an offset is written %2B"
    return FieldError(field=".".join(path) or str(error["loc"][0]), rule=rule)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    code = {
        HTTPStatus.NOT_FOUND: ErrorCode.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED: ErrorCode.METHOD_NOT_ALLOWED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ErrorCode.BODY_TOO_LARGE,
    }.get(HTTPStatus(error.status_code), ErrorCode.MALFORMED_REQUEST)
    headers = {"Allow": _allowed(request)} if code is ErrorCode.METHOD_NOT_ALLOWED else {}
    return ProblemError(code, str(error.detail), headers=headers).response()


def _allowed(request: Request) -> str:
    """Return the methods of all routes of this path. Starlette returns those of the first one only."""
    routes = [*request.app.state.endpoints, *request.app.routes]
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in matching for method in getattr(route, "methods", None) or ()}))


async def _on_ledger(request: Request, error: Exception) -> JSONResponse:
    """Answer 503 for a database error. Errors of Temporal have become problems before they get here."""
    return ledger_unavailable(request.url.path, error).response()


def ledger_unavailable(path: str, error: Exception) -> ProblemError:
    """Return the problem for an unreachable database, and log the details that the caller does not get."""
    sampled.error("ledger unavailable", path=path[:PATH_LOGGED_MAX], error=type(error).__name__)
    return ProblemError(ErrorCode.LEDGER_UNAVAILABLE, "the ledger cannot be reached")


async def _on_unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error", path=request.url.path[:PATH_LOGGED_MAX], exc_info=error)
    return ProblemError(ErrorCode.INTERNAL, "an unexpected error; read the settlement's state").response()
