"""The content of a reply in each reply mode: status, content type, headers and bytes."""

import codecs
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any

from contract.operations import CODE_SUCCESS
from simulator.faults import ReplyMode
from simulator.replies import IN_PROCESS, OWN_CODES, REFUSED_FOR_GOOD, Result

OVERSIZED_BYTES = 8 * 1024 * 1024
CONSTANT_TRACE = "0"
RETRY_AFTER_S = 5
"""The `Retry-After` of HTTP 429, as seconds, and of HTTP 503, as a date."""
REDIRECT_PATH = "/simulator/elsewhere"
_JSON = "application/json"
_HTML = b"<!doctype html><html><head><title>Welcome</title></head><body><h1>It works</h1></body></html>\n"


@dataclass(frozen=True)
class Payload:
    """One reply as it is sent."""

    content: bytes
    status: int = 200
    content_type: str = _JSON
    code: str | None = None
    """The code of the reply; None if the content is not a reply of table 4."""
    headers: dict[str, str] = field(default_factory=dict)


def _plain(reply: dict[str, Any]) -> Payload:
    return Payload(json.dumps(reply).encode(), code=reply["code"])


def _http_500(_reply: dict[str, Any]) -> Payload:
    return Payload(b"Internal Server Error", status=500, content_type="text/plain")


def _redirect(_reply: dict[str, Any]) -> Payload:
    return Payload(b"", status=302, headers={"location": REDIRECT_PATH})


def _not_json(_reply: dict[str, Any]) -> Payload:
    return Payload(b'{"code": "0", "ok": tru')


def _html_page(_reply: dict[str, Any]) -> Payload:
    return Payload(_HTML, content_type="text/html")


def _contradictory(reply: dict[str, Any]) -> Payload:
    return _plain(reply | {"code": CODE_SUCCESS, "ok": False, "fail": True})


def _wrong_type(reply: dict[str, Any]) -> Payload:
    return Payload(json.dumps(reply | {"code": 0}).encode())


def _oversized(reply: dict[str, Any]) -> Payload:
    return _plain(reply | {"msg": "x" * OVERSIZED_BYTES})


def _wrong_trace(reply: dict[str, Any]) -> Payload:
    return _plain(reply | {"trace": f"not-{reply['trace']}"})


def _constant_trace(reply: dict[str, Any]) -> Payload:
    return _plain(reply | {"trace": CONSTANT_TRACE})


def _no_trace(reply: dict[str, Any]) -> Payload:
    return _plain({name: value for name, value in reply.items() if name != "trace"})


def _byte_order_mark(reply: dict[str, Any]) -> Payload:
    return Payload(codecs.BOM_UTF8 + json.dumps(reply).encode(), code=reply["code"])


def _list_data(reply: dict[str, Any]) -> Payload:
    return _plain(reply | {"data": []})


def _http_400(reply: dict[str, Any]) -> Payload:
    return replace(_plain(reply), status=400)


def _http_409(reply: dict[str, Any]) -> Payload:
    return replace(_plain(reply), status=409)


def _http_429(_reply: dict[str, Any]) -> Payload:
    wait = {"retry-after": str(RETRY_AFTER_S)}
    return Payload(b"Too Many Requests", status=429, content_type="text/plain", headers=wait)


def _http_503(_reply: dict[str, Any]) -> Payload:
    wait = {"retry-after": formatdate(time.time() + RETRY_AFTER_S, usegmt=True)}
    return Payload(b"Service Unavailable", status=503, content_type="text/plain", headers=wait)


def _own_code(reply: dict[str, Any]) -> Payload:
    return _failure(reply, Result(OWN_CODES.get(reply["code"], reply["code"]), reply["msg"]))


def _in_process(reply: dict[str, Any]) -> Payload:
    return _failure(reply, IN_PROCESS)


def _refused_for_good(reply: dict[str, Any]) -> Payload:
    return _failure(reply, REFUSED_FOR_GOOD)


def _failure(reply: dict[str, Any], result: Result) -> Payload:
    return _plain(reply | {"code": result.code, "msg": result.msg, "ok": False, "fail": True})


_PAYLOADS: dict[ReplyMode, Callable[[dict[str, Any]], Payload]] = {
    ReplyMode.HTTP_500: _http_500,
    ReplyMode.REDIRECT: _redirect,
    ReplyMode.NOT_JSON: _not_json,
    ReplyMode.HTML_PAGE: _html_page,
    ReplyMode.CONTRADICTORY: _contradictory,
    ReplyMode.WRONG_TYPE: _wrong_type,
    ReplyMode.OVERSIZED: _oversized,
    ReplyMode.WRONG_TRACE: _wrong_trace,
    ReplyMode.CONSTANT_TRACE: _constant_trace,
    ReplyMode.NO_TRACE: _no_trace,
    ReplyMode.BYTE_ORDER_MARK: _byte_order_mark,
    ReplyMode.LIST_DATA: _list_data,
    ReplyMode.HTTP_400: _http_400,
    ReplyMode.HTTP_409: _http_409,
    ReplyMode.HTTP_429: _http_429,
    ReplyMode.HTTP_503: _http_503,
    ReplyMode.OWN_CODE: _own_code,
    ReplyMode.IN_PROCESS: _in_process,
    ReplyMode.REFUSED_FOR_GOOD: _refused_for_good,
}


def payload_of(mode: ReplyMode, reply: dict[str, Any]) -> Payload:
    """Return the content for a reply of table 4; modes that change only the sending leave the reply as it is."""
    return _PAYLOADS.get(mode, _plain)(reply)
