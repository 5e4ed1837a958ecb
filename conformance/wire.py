"""Builds the bytes of a request: the head and the body of one operation."""

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from conformance.orders import Body, now_ms
from conformance.target import Target
from contract.operations import Operation

Headers = Mapping[str, str | None]
"""Values that replace those of a plain request; None leaves the header out."""
USER_AGENT = "settlement-conformance"


def body_bytes(body: Body | bytes) -> bytes:
    """Return the JSON text of a body, UTF-8 without spaces; bytes are returned as they are."""
    if isinstance(body, bytes):
        return body
    return json.dumps(body.fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def request_bytes(  # noqa: PLR0913 - the parts of a request
    target: Target,
    operation: Operation,
    body: Body | bytes,
    trace: str,
    headers: Headers | None = None,
    *,
    keep_alive: bool = False,
) -> bytes:
    """Return head and body of a request exactly as they are written to the socket."""
    text = body_bytes(body)
    own: dict[str, str | None] = {"trace": trace}
    if operation is not Operation.CANCEL_OPERATION:
        own["timestamp"] = str(now_ms())
    if target.company is not None:
        own["companyId"] = str(target.company)
    fixed = {"Content-Type": "application/json", "Content-Length": str(len(text))}
    merged = {**own, **{each.name: each.value for each in target.headers}, **fixed, **(headers or {})}
    return head("POST", target.url_of(operation), merged, keep_alive=keep_alive) + text


def head(method: str, url: str, headers: Headers, *, keep_alive: bool = False) -> bytes:
    """Return the head of a request, with the empty line at its end."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    general = {
        "Host": parts.netloc,
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        "Connection": "keep-alive" if keep_alive else "close",
    }
    lines = [f"{name}: {value}" for name, value in {**general, **headers}.items() if value is not None]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")
