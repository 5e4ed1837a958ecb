"""Real sockets: the app behind uvicorn, and a proxy that makes a server unreachable or unresponsive."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from email.policy import HTTP
from typing import Any

import uvicorn
from fastapi import FastAPI
from temporalio.client import Client

from api.http.server import uvicorn_config
from config.settings import Settings
from tests.support.polling import until
from tests.support.sagas import IDENTITY
from workflows.runtime import DATA_CONVERTER

HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """Does not handle signals; pytest does."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signals."""
        yield


@asynccontextmanager
async def served(app: FastAPI, settings: Settings | None = None) -> AsyncIterator[int]:
    """Run the app behind uvicorn, as the API process does, on a free port; yield the port."""
    with socket.create_server((HOST, 0), backlog=2048) as listener:
        server = _Server(uvicorn_config(app, settings or Settings(), drain_s=5))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await until(lambda: _started(server), what="uvicorn")
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await serving


async def _started(server: uvicorn.Server) -> bool:
    return server.started


@dataclass(frozen=True)
class RawResponse:
    """A response, read from a socket."""

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:  # noqa: ANN401 - whatever the body is
        """Return the body as JSON."""
        return json.loads(self.content)


async def exchange(port: int, *parts: bytes, limit_s: float = 10) -> RawResponse:
    """Send raw bytes and read one response. The server may respond before it has read all of them."""
    async with asyncio.timeout(limit_s):
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            with suppress(ConnectionError):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
            return await read_response(reader)
        finally:
            writer.close()


async def read_response(reader: asyncio.StreamReader) -> RawResponse:
    """Read one response with a Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    status_line, _, fields = head.partition(b"\r\n")
    headers = {name.lower(): value for name, value in BytesHeaderParser(policy=HTTP).parsebytes(fields).items()}
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return RawResponse(int(status_line.split()[1]), headers, content)


def head(method: str, path: str, *fields: str) -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"host: {HOST}", *fields, "", ""]).encode("latin-1")


def chunk(content: bytes) -> bytes:
    """Return one chunk of a chunked body; an empty one ends it."""
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


async def temporal_at(port: int) -> Client:
    """Return a client that connects with its first call, like the API's client."""
    return await Client.connect(f"{HOST}:{port}", lazy=True, data_converter=DATA_CONVERTER, identity=IDENTITY)


class TcpProxy:
    """A proxy in front of a server: refusing connections, not answering, or forwarding."""

    def __init__(self, listener: socket.socket) -> None:
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        self._server: asyncio.Server | None = None
        self._target: str | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def stop_answering(self) -> None:
        """Accept connections and discard all data, also on open connections."""
        self._target = None
        await self._listen()

    async def forward_to(self, target: str) -> None:
        """Forward new connections to a server, and close the connections whose data was discarded."""
        self.disconnect()
        self._target = target
        await self._listen()

    def disconnect(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def close(self) -> None:
        """Close every connection and refuse new ones."""
        self.disconnect()
        if self._server is not None:
            self._server.close()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=self._listener)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        if self._target is None:
            await self._forward(reader, writer)
            return
        host, _, port = self._target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        self._writers.append(far_writer)
        await asyncio.gather(self._forward(reader, far_writer), self._forward(far_reader, writer))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self._target is not None:
                    writer.write(data)
                    await writer.drain()
        writer.close()


@asynccontextmanager
async def tcp_proxy() -> AsyncIterator[TcpProxy]:
    """Reserve a port that refuses connections until the test opens it."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        held = TcpProxy(listener)
        try:
            yield held
        finally:
            await held.close()
