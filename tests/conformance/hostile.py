"""Endpoints that are no external system: silent, endless, garbled, or with one answer for everything."""

import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress

from tests.conformity.reading import PUBLISHED, faults

_HEAD_END = b"\r\n\r\n"
_READ_SIZE = 65_536

PAUSE_S, _PARTS = 0.02, 50
"""Between the parts of an endless reply, so that they cost little."""

Answer = Callable[[socket.socket, bytes], None]
"""Answers one request, which has been read, on its connection."""


def reply(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return a complete HTTP reply; the names of headers are written with hyphens."""
    fields = {"content-type": "application/json", "content-length": str(len(body))} | headers
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + _HEAD_END + body


def always(sent: bytes) -> Answer:
    """Send the same bytes for every request, and close."""
    return lambda connection, _: connection.sendall(sent)


def never(connection: socket.socket, _: bytes) -> None:
    """Wait until the client closes."""
    while connection.recv(_READ_SIZE):
        pass


def endless(start: bytes, part: bytes) -> Answer:
    """Send `start`, and then `part` again and again."""

    def send(connection: socket.socket, _: bytes) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(part * _PARTS)
            time.sleep(PAUSE_S)

    return send


SUCCESS = {
    "bizCode": "",
    "code": "0",
    "msg": "ok",
    "tm": 3,
    "trace": "t-1",
    "msgParams": "",
    "data": {},
    "ok": True,
    "fail": False,
}
BY_TYPE = {
    "bizCode": "string",
    "code": "string",
    "msg": "string",
    "tm": -9007199254740991,
    "trace": "string",
    "msgParams": "string",
    "data": {},
    "ok": True,
    "fail": True,
}
"""A reply of the mock server Prism 5 to the published documents, which have no examples: each field by its type."""


def published_mock(answer: Mapping[str, object]) -> Answer:
    """Answer as the mock server Prism does: check the request against its published document, and send a constant."""

    def send(connection: socket.socket, request: bytes) -> None:
        head, _, body = request.partition(_HEAD_END)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower() for name, _, _ in (line.partition(":") for line in lines)}
        connection.sendall(_mocked(first.split(" ")[1], headers, body, answer))

    return send


def _mocked(path: str, headers: AbstractSet[str], body: bytes, answer: Mapping[str, object]) -> bytes:
    published = next((each for each in PUBLISHED.values() if each.path == path), None)
    if published is None:
        return _problem("404 Not Found", "Route not resolved, no path matched")
    try:
        value = json.loads(body)
    except ValueError:
        return reply(b'{"error":{"code":"invalid_json","message":"Invalid JSON"}}', "400 Bad Request")
    required = [each["name"] for each in published.parameters if each["required"]]
    if faults(published.body, value) or not headers >= set(required):
        return _problem("422 Unprocessable Entity", "Invalid request")
    return reply(json.dumps(answer).encode())


def _problem(status: str, title: str) -> bytes:
    content = json.dumps({"type": "about:blank", "title": title, "status": int(status[:3])}).encode()
    return reply(content, status, content_type="application/problem+json")


_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"

HOSTILE: dict[str, Answer] = {
    "accepts-and-never-answers": never,
    "closes-without-a-reply": always(b""),
    "endless-body": endless(_HEAD + b"\r\n", b"x"),
    "endless-chunks": endless(_HEAD + b"transfer-encoding: chunked\r\n\r\n", b"64\r\n" + b"x" * 100 + b"\r\n"),
    "endless-head": endless(_HEAD, b"x-more: x\r\n"),
    "endless-interim-replies": endless(b"", b"HTTP/1.1 103 Early Hints\r\nlink: " + b"x" * 200 + b"\r\n\r\n"),
    "garbage": always(bytes(range(256)) * 4),
    "half-a-reply": always(reply(b'{"code": "0"}')[:-4]),
    "deeply-nested-json": always(reply(b"[" * 100_000)),
    "html-for-everything": always(reply(b"<!doctype html><h1>It works</h1>", content_type="text/html")),
    "http-500-for-everything": always(reply(b"Internal Server Error", "500 Internal Server Error")),
    "redirect-loop": always(reply(b"", "302 Found", location="/")),
    "code-0-for-everything": always(reply(b'{"code": "0"}')),
    "one-constant-reply": always(reply(json.dumps(SUCCESS).encode())),
    "a-mock-of-the-openapi-documents": published_mock(BY_TYPE),
    "a-mock-with-an-example-of-success": published_mock(SUCCESS),
}


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve on a free port for the length of the block; yield the base URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                request = _read_request(self.request)
                if _HEAD_END in request:
                    answer(self.request, request)

    with _Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def _read_request(connection: socket.socket) -> bytes:
    """Return head and body; give up when the client closes."""
    received = b""
    while _HEAD_END not in received and (part := connection.recv(_READ_SIZE)):
        received += part
    head, _, body = received.partition(_HEAD_END)
    names = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    length = next((int(value) for name, _, value in names if name == b"content-length"), 0)
    missing = length - len(body)
    while missing > 0 and (part := connection.recv(_READ_SIZE)):
        missing -= len(part)
        received += part
    return received
