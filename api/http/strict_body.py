"""Request bodies: bounded in size, and JSON that can be read in only one way."""

import json

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import NOT_UTF_8, ProblemError
from contract.strict_json import RepeatedNameError, no_repeats
from schemas.problems import STATUS_OF, ErrorCode


async def unambiguous_json(request: Request) -> None:
    """Refuse a body of another media type or encoding, and one that names a field twice: which amount would be meant?

    FastAPI has read it before, and refused what its parser does not take; parsed in the same way here, so that what
    one takes the other has looked at. That parser guesses at UTF-16 and UTF-32, which is not how JSON is sent
    (RFC 8259, 8.1), and lets bytes pass that are none of them.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ProblemError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Content-Type: must be application/json")
    body = await request.body()
    try:
        json.loads(body, object_pairs_hook=no_repeats)
        body.decode()
    except RepeatedNameError as error:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, str(error)) from error
    except UnicodeDecodeError as error:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, NOT_UTF_8) from error
    except (ValueError, RecursionError):
        return
    if b"\0" in body:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, NOT_UTF_8)


BODY_BYTES_MAX = 16 * 1024

_DIGITS_MAX = 18
_RULE = f"a request body has at most {BODY_BYTES_MAX} bytes"


class BodyLimitMiddleware:
    """Answers 413 as soon as a body is known to be too large, announced or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what it sends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or len(announced) > _DIGITS_MAX or int(announced) > BODY_BYTES_MAX:
            await ProblemError(ErrorCode.BODY_TOO_LARGE, _RULE).response()(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_BYTES_MAX:
                # Only an HTTPException passes through FastAPI's reading of a body as what it is.
                raise HTTPException(STATUS_OF[ErrorCode.BODY_TOO_LARGE], _RULE)
            return message

        await self._app(scope, counted, send)
