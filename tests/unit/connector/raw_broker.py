"""An external system on raw sockets, so that a test can send any bytes at any moment."""

import asyncio
import select
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from connector import CallHeaders, Deadlines, ExternalSystem
from contract.adjust import AdjustBody
from settlement.calls import Verdict

LONG_DEADLINES = Deadlines(connect_s=10, reply_s=10)
"""For tests that expect a reply; long, because the machine may be busy."""
SHORT_REPLY_DEADLINE = Deadlines(connect_s=10, reply_s=0.3)
"""For tests that expect no reply in time."""
SHORT_CONNECT_DEADLINE = Deadlines(connect_s=0.3, reply_s=10)
"""For tests that expect no connection in time."""

SUCCESS = b'{"code":"0","ok":true,"fail":false}'
FAILURE = b'{"code":"E1","ok":false,"fail":true}'

ORDER = AdjustBody(
    thirdServerCode="customer-7",
    userName="user-7",
    currency="USD",
    bizType=1,
    operationType="OPEN_POSITION",
    amountDigits=2,
    amount="12.50",
    orderId=4711,
    requestUniqueNo="ORD-1",
    requestTime=1_760_000_000_000,
    ip="203.0.113.7",
)


HEADERS = CallHeaders(trace="t-1")


async def adjust(system: ExternalSystem, deadlines: Deadlines = LONG_DEADLINES) -> Verdict:
    """Send ORDER as an adjust."""
    return await system.adjust(ORDER, HEADERS, deadlines)


@dataclass(frozen=True)
class Request:
    """One request, as it arrived."""

    line: str
    headers: dict[str, str]
    """By name, spelled as sent."""
    body: bytes
    connection: int
    """The number of its connection, counted from 1."""


@dataclass
class Peer:
    """The broker's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: Request = field(init=False)
    """The request to answer now."""

    async def send(self, data: bytes) -> None:
        """Send data; raises ConnectionError if the client has disconnected."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Reset the connection (TCP RST)."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        """Close the connection (TCP FIN)."""
        self.writer.close()

    async def disconnected_within(self, seconds: float) -> bool:
        """Wait for the client to disconnect; False if it has not after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(4096):
                    pass
        except TimeoutError:
            return False
        return True


Answer = Callable[[Peer], Awaitable[None]]
"""Called once for each complete request."""


@dataclass
class Broker:
    """A listening broker and the requests that it has received."""

    answer: Answer
    url: str = ""
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a new connection."""
        self.connections += 1
        task = asyncio.create_task(self._serve(Peer(reader, writer), self.connections))
        self._tasks.add(task)

    async def _serve(self, peer: Peer, connection: int) -> None:
        try:
            while not peer.writer.is_closing() and (request := await _next_request(peer.reader, connection)):
                self.requests.append(request)
                peer.request = request
                await self.answer(peer)
        except OSError:
            pass  # the client disconnected, as many tests intend
        finally:
            peer.writer.close()
            with suppress(OSError):
                await peer.writer.wait_closed()

    async def stop(self) -> None:
        """Close every connection; an exception in an answer fails the test."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


@asynccontextmanager
async def broker(
    answer: Answer, *, tls: ssl.SSLContext | None = None, listener: socket.socket | None = None
) -> AsyncIterator[Broker]:
    """Run a broker on a free port of 127.0.0.1, or on a given listening socket."""
    running = Broker(answer)
    address: dict[str, object] = {"sock": listener} if listener else {"host": "127.0.0.1", "port": 0}
    server = await asyncio.start_server(running.accept, ssl=tls, **address)  # type: ignore[arg-type] # options by name
    running.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield running
    finally:
        server.close()
        await running.stop()
        await server.wait_closed()


@contextmanager
def full_listener() -> Iterator[str]:
    """Yield the URL of a port whose accept queue is full, so the kernel drops new connections."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        connected = True
        while connected:
            connecting = stack.enter_context(socket.socket())
            connecting.setblocking(False)
            connecting.connect_ex(listener.getsockname())
            connected = bool(select.select([], [connecting], [], 0.1)[1])
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def _next_request(reader: asyncio.StreamReader, connection: int) -> Request | None:
    """Read one complete request; None if the client sent nothing more."""
    try:
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = dict(each.split(": ", 1) for each in lines)
        body = await reader.readexactly(int(headers["Content-Length"]))
    except asyncio.IncompleteReadError:
        return None
    return Request(line, headers, body, connection)


def reply(body: bytes = SUCCESS, *headers: str, status: str = "200 OK") -> bytes:
    """Return a complete HTTP reply with Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def sending(*parts: bytes) -> Answer:
    """Answer each request with these bytes and leave the connection open."""

    async def answer(peer: Peer) -> None:
        for part in parts:
            await peer.send(part)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """Answer the first request with the first, the second with the second; the last serves all others."""
    left = list(answers)

    async def answer(peer: Peer) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(peer)

    return answer


async def silence(peer: Peer) -> None:
    """Never answer; stay until the other side goes."""
    await peer.reader.read()


def closing_after(*parts: bytes) -> Answer:
    """Send these bytes and close the connection (TCP FIN)."""

    async def answer(peer: Peer) -> None:
        await sending(*parts)(peer)
        peer.close()

    return answer


def resetting_after(*parts: bytes) -> Answer:
    """Send these bytes and reset the connection (TCP RST)."""

    async def answer(peer: Peer) -> None:
        await sending(*parts)(peer)
        peer.reset()

    return answer
