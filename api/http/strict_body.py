"""Request bodies: a limit on their size, and strict JSON."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import ProblemError
from api.http.route_match import route_of
from contract.strict_json import RepeatedNameError, request_json
from schemas.problems import STATUS_OF, ErrorCode

NOT_JSON = "the body is not JSON"
NOT_UTF_8 = "the body is not UTF-8"
BODY_BYTES_MAX = 16 * 1024

_DIGITS_MAX = 18


class StrictJsonRoute(APIRoute):
    """A route that parses the body of its request once. FastAPI validates the parsed value.

    A subclass can allow larger bodies by `body_bytes_max`.

    Answers 415 for a media type other than JSON, and 400 for a body that is not JSON in UTF-8 or has an object with a
    repeated field: it is not known which of two amounts is meant. Such a request has no effect.
    """

    body_bytes_max = BODY_BYTES_MAX

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, called with a request whose body has been parsed."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_parsed(request: Request) -> Response:
            parsed = _ParsedRequest(request.scope, request.receive)
            await parsed.parse()
            return await handle(parsed)

        return handle_parsed


class _ParsedRequest(Request):
    """A request with a parsed body. FastAPI calls its `json` unless the body is empty."""

    _parsed: object = None

    async def parse(self) -> None:
        """Read the whole body and parse it. Validation rejects an empty body later. Raises ProblemError."""
        try:
            body = await self.body()
        except ClientDisconnect as error:
            raise ProblemError(ErrorCode.MALFORMED_REQUEST, "the body cannot be read") from error
        media_type = self.headers.get("content-type", "").split(";")[0].strip().lower()
        if media_type != "application/json" and not (
            media_type.startswith("application/") and media_type.endswith("+json")
        ):
            raise ProblemError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Content-Type: must be application/json")
        if body:
            self._parsed = _parsed(body)

    async def json(self) -> Any:  # noqa: ANN401 - overrides Starlette's
        """Return the value that `parse` has read."""
        return self._parsed


def _parsed(body: bytes) -> object:
    try:
        return request_json(body)
    except RepeatedNameError as error:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, str(error)) from error
    except UnicodeDecodeError as error:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, NOT_UTF_8) from error
    except RecursionError as error:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, "the body is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, NOT_UTF_8 if _is_wide(body) else NOT_JSON) from error
    except ValueError as error:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, "a number in the body has too many digits") from error


def _is_wide(body: bytes) -> bool:
    """Return whether a body starts as JSON in UTF-16 or UTF-32 does: its first character is padded with NUL bytes."""
    return any(body[:4]) and json.detect_encoding(body) not in {"utf-8", "utf-8-sig"}


class BodyLimitMiddleware:
    """Answers 413 as soon as a body is known to be too large, by its Content-Length or by the bytes received."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count the bytes of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = route_of(scope)
        limit = route.body_bytes_max if isinstance(route, StrictJsonRoute) else BODY_BYTES_MAX
        rule = f"a body of this request has at most {limit} bytes"
        content_length = dict(scope["headers"]).get(b"content-length", b"0")
        if not content_length.isdigit() or len(content_length) > _DIGITS_MAX or int(content_length) > limit:
            await ProblemError(ErrorCode.BODY_TOO_LARGE, rule).response()(scope, receive, send)
            return
        received = 0

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(STATUS_OF[ErrorCode.BODY_TOO_LARGE], rule)
            return message

        await self._app(scope, counting_receive, send)
