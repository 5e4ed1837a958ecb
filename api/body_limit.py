"""A limit on every request body: the largest valid settlement is far below it."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ProblemError
from contract.errors import STATUS_OF, ErrorCode

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
