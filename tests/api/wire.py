"""Sockets: the app behind real uvicorn, and Temporal servers that are away, silent or come back."""

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
    """Leaves signals to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@asynccontextmanager
async def served(app: FastAPI, settings: Settings | None = None) -> AsyncIterator[int]:
    """Run the app behind uvicorn, as the API process does, on a port of the system's choice; yield the port."""
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
class RawAnswer:
    """What came back over a socket."""

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:  # noqa: ANN401 - whatever the body is
        """Return the body as JSON."""
        return json.loads(self.content)


async def exchange(port: int, *parts: bytes, limit_s: float = 10) -> RawAnswer:
    """Send bytes as they are and read one answer, which the server may give before it has read them all."""
    async with asyncio.timeout(limit_s):
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            with suppress(ConnectionError):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
            return await read_answer(reader)
        finally:
            writer.close()


async def read_answer(reader: asyncio.StreamReader) -> RawAnswer:
    """Read one answer, whose length is announced."""
    head = await reader.readuntil(b"\r\n\r\n")
    status_line, _, fields = head.partition(b"\r\n")
    headers = {name.lower(): value for name, value in BytesHeaderParser(policy=HTTP).parsebytes(fields).items()}
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return RawAnswer(int(status_line.split()[1]), headers, content)


def head(method: str, path: str, *fields: str) -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"host: {HOST}", *fields, "", ""]).encode("latin-1")


def chunk(content: bytes) -> bytes:
    """Return one chunk of a chunked body; an empty one ends it."""
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


async def temporal_at(port: int) -> Client:
    """Return a client that connects with its first call, as the front door's does."""
    return await Client.connect(f"{HOST}:{port}", lazy=True, data_converter=DATA_CONVERTER, identity=IDENTITY)


class Line:
    """The way to a server, on a port of its own: dead, silent, or passing everything on."""

    def __init__(self, listener: socket.socket) -> None:
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        self._server: asyncio.Server | None = None
        self._target: str | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def answer_nothing(self) -> None:
        """Accept connections and swallow all that is sent, on those that are open too."""
        self._target = None
        await self._listen()

    async def lead_to(self, target: str) -> None:
        """Pass on to a server what comes from now on; connections that had been swallowed break."""
        self.cut()
        self._target = target
        await self._listen()

    def cut(self) -> None:
        """Break every connection."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def close(self) -> None:
        """Break every connection and take no more."""
        self.cut()
        if self._server is not None:
            self._server.close()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=self._listener)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        if self._target is None:
            await self._pass_on(reader, writer)
            return
        host, _, port = self._target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        self._writers.append(far_writer)
        await asyncio.gather(self._pass_on(reader, far_writer), self._pass_on(far_reader, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self._target is not None:
                    writer.write(data)
                    await writer.drain()
        writer.close()


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    """Hold a port on which nobody listens, so that whoever connects is refused, until the test opens it."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        held = Line(listener)
        try:
            yield held
        finally:
            await held.close()
