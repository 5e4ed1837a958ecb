"""Reads replies leniently: one fault of a reply must not make every requirement fail.

Whether a reply has every property of the contract is checked by the requirements C-002 to C-008 alone. So a reply is
read here whatever its HTTP status, with a byte order mark, repeated names, a numeric code or a compressed body.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h11

from conformance.connection import RECEIVED_BYTES_MAX, reply_parser
from conformance.exchange import Exchange
from contract.operations import CODE_SUCCESS

_TEXT_MAX = 200
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
"""Tells zlib to recognise either by its header."""


@dataclass(frozen=True)
class HttpReply:
    """The parts of a complete HTTP reply."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in the order of the reply."""
    body: bytes
    """Without transfer encoding; a content encoding is not decoded."""

    def header(self, name: str) -> str | None:
        """Return the first value of a header; None if it is absent. `name` is in lower case."""
        return next((value for each, value in self.headers if each == name), None)


@dataclass(frozen=True)
class Reply:
    """A reply that has the field `code`."""

    http: HttpReply
    fields: Mapping[str, Any]
    """The JSON object of the body, as parsed."""
    code: str
    """As text, even if the reply has a number."""

    @property
    def trace(self) -> object:
        """The field `trace`; None if it is absent."""
        return self.fields.get("trace")


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    exchange: Exchange
    http: HttpReply | None
    """None: no complete HTTP reply came."""
    reply: Reply | None
    """None: no reply of table 4 came; `problem` says why."""
    problem: str

    @property
    def code(self) -> str | None:
        """The code of the reply; None if it cannot be read."""
        return self.reply.code if self.reply else None

    @property
    def is_success(self) -> bool:
        """Tell whether the code is `0`."""
        return self.code == CODE_SUCCESS

    @property
    def is_refusal(self) -> bool:
        """Tell whether the request was refused: another code than `0`, or an HTTP status from 400 to 499."""
        if self.reply is not None:
            return not self.is_success
        return self.http is not None and 400 <= self.http.status <= 499  # noqa: PLR2004 - the class of statuses

    def __str__(self) -> str:
        """Return what came in plain English, such as "code 'US_0000400' (msg 'amount: …')"."""
        if self.reply is None:
            return self.problem
        msg = self.reply.fields.get("msg")
        status = "" if self.reply.http.status == 200 else f"HTTP {self.reply.http.status}, "  # noqa: PLR2004 - OK
        return f"{status}code {quoted(self.reply.code)}" + (f" (msg {quoted(msg)})" if msg else "")


def read(exchange: Exchange) -> Answer:
    """Read what came back."""
    if exchange.failure is not None:
        return Answer(exchange, None, None, exchange.failure)
    http = http_reply(exchange.received)
    try:
        return Answer(exchange, http, _reply(http), "")
    except ValueError as error:
        return Answer(exchange, http, None, f"HTTP {http.status}, {error}")


def http_reply(received: bytes) -> HttpReply:
    """Split a complete HTTP reply into its parts. Raises h11.RemoteProtocolError if it is not complete."""
    parser = reply_parser()
    parser.receive_data(received)
    response, body = None, bytearray()
    while not isinstance(event := parser.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            parser.receive_data(b"")  # the end of the connection ends the body
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
    if response is None:
        message = "there is no response"
        raise h11.RemoteProtocolError(message)
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers)
    return HttpReply(response.status_code, headers, bytes(body))


def quoted(value: object) -> str:
    """Return a value from outside as short text that cannot control a terminal."""
    text = repr(value)
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…"


def json_object(http: HttpReply) -> dict[str, Any] | None:
    """Return the JSON object of a body, read leniently; None if there is none."""
    try:
        found = json.loads(_text(http))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(http: HttpReply) -> str:
    return _decoded_content(http).decode("utf-8-sig", errors="replace")


def _reply(http: HttpReply) -> Reply:
    text = _text(http)
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        message = f"the body is not JSON: {quoted(text)}" if text else "the body is empty"
        raise ValueError(message) from None
    if not isinstance(fields, dict):
        message = f"the body is not a JSON object: {quoted(text)}"
        raise ValueError(message)  # noqa: TRY004 - the text is wrong, not a type of this program
    code = fields.get("code")
    if not isinstance(code, str | int) or isinstance(code, bool):
        message = f"the reply has no code: {quoted(text)}"
        raise ValueError(message)  # noqa: TRY004 - as above
    return Reply(http, fields, str(code))


def _decoded_content(http: HttpReply) -> bytes:
    """Return the body without content encoding, at most `RECEIVED_BYTES_MAX` bytes of it."""
    if (http.header("content-encoding") or "identity").lower() not in {"gzip", "deflate"}:
        return http.body
    try:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(http.body, RECEIVED_BYTES_MAX)
    except zlib.error:
        return http.body
