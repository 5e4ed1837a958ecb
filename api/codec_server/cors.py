"""CORS of the codec server: pages of the Temporal UI, and no others, may use it in a browser."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.codec_server.sessions import CODEC_PATH

PREFLIGHT_S = 600
_ENDPOINTS = frozenset({f"{CODEC_PATH}/encode", f"{CODEC_PATH}/decode"})


class CodecCorsMiddleware:
    """Adds CORS headers to the answers of the codec server, and answers preflight requests. Other routes have none."""

    def __init__(self, app: ASGIApp, ui_origin: str | None) -> None:
        self._app = app
        self._with_cors = CORSMiddleware(
            app,
            allow_origins=[ui_origin] if ui_origin else [],
            allow_methods=["POST"],
            allow_headers=["Authorization", "Content-Type", "X-Namespace"],
            allow_credentials=True,
            max_age=PREFLIGHT_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with CORS if it is for the codec server."""
        is_codec = scope["type"] == "http" and scope["path"] in _ENDPOINTS
        await (self._with_cors if is_codec else self._app)(scope, receive, send)
