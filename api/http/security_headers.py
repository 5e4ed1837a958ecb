"""Headers of every answer that tell browsers and proxies not to guess, not to store, not to leak and not to run."""

import base64
import hashlib
import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of answers that are not pages: a browser that shows one must load and run nothing."""

PAGE = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The same of a page of the documentation. Its scripts come from this API or are in the page, named by their hashes.
Swagger UI sets styles at run time, so styles may be inline."""

HEADERS = {
    # Most answers contain personal data or amounts. The others are small, so none is stored.
    "Cache-Control": "no-store",
    "Content-Security-Policy": NOTHING,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every answer. A page has another Content-Security-Policy."""

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def page_policy(page: bytes) -> str:
    """Return the Content-Security-Policy of a page, which permits the scripts that are in it."""
    digests = (hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(page))
    return PAGE.format(scripts="".join(f" 'sha256-{base64.b64encode(each).decode()}'" for each in digests))


class SecurityHeadersMiddleware:
    """Adds the headers to every answer of an application. It is outermost, so that no answer is without them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers that the answer does not have."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def adding_send(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                has_own_policy = "content-security-policy" in headers
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if headers.get("content-type", "").startswith("text/html") and not has_own_policy:
                    start = message  # until the page is here, which its policy depends on
                    return
            if start is not None:
                MutableHeaders(scope=start)["Content-Security-Policy"] = page_policy(message.get("body", b""))
                await send(start)
                start = None
            await send(message)

        await self._app(scope, receive, adding_send)
