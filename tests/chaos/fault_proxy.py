"""A TCP proxy between worker and external system that injects a fault into each exchange."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from tests.chaos.network_faults import NO_FAULT, NetworkFault, PlannedFault

HOST = "127.0.0.1"
CHUNK = 65_536
DRIP_S = 0.05
"""Pause between two bytes. A reply has several hundred, so it takes far longer than any caller waits."""
LINGER_S = 1.0
"""How long the connection of a delayed request stays open: a server drops a request whose sender disconnects."""
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


class FaultProxy:
    """Listens on one port. `refuse` closes the port, as a host that is down."""

    def __init__(self, port: int, upstream_port: int, draw: Callable[[], PlannedFault]) -> None:
        self.port = port
        self._upstream_port = upstream_port
        self._draw = draw
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Accept connections; repeating it changes nothing."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def refuse(self) -> None:
        """Refuse new connections until `listen`. Open connections continue."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def close(self) -> None:
        """Refuse new connections and reset the open ones."""
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def keep(self, task: "asyncio.Task[None]") -> None:
        """Keep a reference to a task until it ends or the proxy is closed."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.keep(task)
        # Some Python releases log an error if a task of the stream server ends cancelled.
        with suppress(OSError, asyncio.CancelledError):
            async with _upstream(self._upstream_port) as upstream:
                await _Link(reader, writer, *upstream, self).run(self._draw)
        _reset(writer)

    def deliver_later(self, request: bytes, after_s: float) -> None:
        """Deliver a copy of a request on a separate connection, and ignore its reply."""

        async def deliver() -> None:
            await asyncio.sleep(after_s)
            with suppress(OSError):
                async with _upstream(self._upstream_port) as (_, writer):
                    writer.write(request)
                    await asyncio.sleep(LINGER_S)

        self.keep(asyncio.create_task(deliver()))


class _Link:
    """A connection from the worker, and the corresponding one to the external system."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream_reader: asyncio.StreamReader,
        upstream_writer: asyncio.StreamWriter,
        proxy: FaultProxy,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._upstream_reader, self._upstream_writer = upstream_reader, upstream_writer
        self._proxy = proxy
        self._planned = NO_FAULT

    async def run(self, draw: Callable[[], PlannedFault]) -> None:
        """Forward requests until either side disconnects or a fault ends the connection."""
        replies = asyncio.create_task(self._pass_replies())
        requests = asyncio.create_task(self._pass_requests(draw))
        done, pending = await asyncio.wait({replies, requests}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()

    async def _pass_requests(self, draw: Callable[[], PlannedFault]) -> None:
        while request := await _read_request(self._reader):
            self._planned = draw()
            fault, at, seconds = self._planned
            match fault:
                case NetworkFault.LOSE_REQUEST:
                    continue
                case NetworkFault.RESET_REQUEST:
                    await self._to_upstream(request[: int(at * len(request))])
                    return
                case NetworkFault.DELAY_REQUEST:
                    await asyncio.sleep(seconds)
                    await self._to_upstream(request)
                    await asyncio.sleep(LINGER_S)
                case NetworkFault.DUPLICATE:
                    self._proxy.deliver_later(request, seconds)
                    await self._to_upstream(request)
                case _:
                    await self._to_upstream(request)

    async def _pass_replies(self) -> None:
        while chunk := await self._upstream_reader.read(CHUNK):
            fault, at, seconds = self._planned
            match fault:
                case NetworkFault.LOSE_REPLY:
                    continue
                case NetworkFault.DRIP:
                    for n in range(len(chunk)):
                        await self._send(chunk[n : n + 1])
                        await asyncio.sleep(DRIP_S)
                case NetworkFault.RESET_REPLY | NetworkFault.CUT:
                    await self._send(chunk[: int(at * len(chunk))])
                    if fault is NetworkFault.CUT:
                        self._writer.close()
                        await self._writer.wait_closed()
                    return
                case NetworkFault.DELAY_REPLY:
                    await asyncio.sleep(seconds)
                    await self._send(chunk)
                case _:
                    await self._send(chunk)

    async def _to_upstream(self, data: bytes) -> None:
        self._upstream_writer.write(data)
        await self._upstream_writer.drain()

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """Return one complete request, head and body; empty if the sender has disconnected."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        return head + (await reader.readexactly(int(length[1])) if length else b"")
    except (asyncio.IncompleteReadError, OSError):
        return b""


@asynccontextmanager
async def _upstream(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
    finally:
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a TCP reset, unless it is already closed."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
