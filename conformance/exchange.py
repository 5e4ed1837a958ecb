"""One HTTP exchange with the endpoint, byte for byte, with a total deadline and a size limit."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from conformance.connection import Connection, ConnectionFailed, Endpoint

_LOST = ("connection ", "cannot ", "TLS ")


@dataclass(frozen=True)
class Exchange:
    """One request and what came back."""

    label: str
    """What the request is for, such as "the same adjust again"."""
    started_at: datetime
    """UTC."""
    sent: bytes
    """Head and body exactly as written to the socket; empty if there was no connection."""
    received: bytes
    """Head and body exactly as read; at most `RECEIVED_BYTES_MAX` bytes."""
    elapsed_s: float
    """From the start of the send to the last byte of the reply, or to the failure. The time to connect is not part."""
    failure: str | None
    """None: a complete HTTP reply came. Otherwise one sentence that says why not, such as "no reply within 10 s"."""
    status: int | None
    """The HTTP status; None without a complete reply."""
    curl: str
    """The curl command that sends the same request."""

    @property
    def is_lost(self) -> bool:
        """Tell whether the endpoint refused or dropped the connection."""
        return self.failure is not None and self.failure.startswith(_LOST)


@dataclass(frozen=True)
class Request:
    """One request as it is written to the socket."""

    label: str
    pieces: Sequence[bytes]
    """The bytes of head and body, in one piece or in several."""
    curl: str = ""
    pause_s: float = 0.0
    """Pause between two pieces."""

    @property
    def bytes(self) -> bytes:
        """Head and body."""
        return b"".join(self.pieces)


class _Sending:
    """The progress of one exchange, which outlives a timeout."""

    def __init__(self, connection: Connection | None) -> None:
        self.connection = connection
        self.started = time.monotonic()
        self.sent = bytearray()

    async def run(self, endpoint: Endpoint, request: Request) -> int:
        if self.connection is None:
            self.connection = await Connection.open(endpoint)
        # A kept connection still holds the previous reply.
        self.connection.received = bytearray()
        self.started = time.monotonic()
        for position, piece in enumerate(request.pieces):
            if position:
                await asyncio.sleep(request.pause_s)
            self.sent += piece
            try:
                await self.connection.write(piece)
            except ConnectionFailed:
                break  # the other side may have answered before it closed the connection
        return await self.connection.read_reply()


async def send(
    endpoint: Endpoint, request: Request, *, limit_s: float, connection: Connection | None = None
) -> Exchange:
    """Send a request and read its reply; never raises for what the endpoint does.

    Without `connection` a new one is opened, and closed afterwards. `limit_s` limits the whole exchange.
    """
    started_at = datetime.now(UTC)
    sending = _Sending(connection)
    status, failure = None, None
    try:
        async with asyncio.timeout(limit_s):
            status = await sending.run(endpoint, request)
    except ConnectionFailed as error:
        failure = str(error)
    except TimeoutError:
        failure = _timeout(sending, limit_s)
    except asyncio.CancelledError:
        if sending.connection is not None:
            sending.connection.abort()
        raise
    elapsed_s = time.monotonic() - sending.started
    used = sending.connection
    if used is not None and connection is None:
        await used.close()
    received = bytes(used.received) if used else b""
    return Exchange(request.label, started_at, bytes(sending.sent), received, elapsed_s, failure, status, request.curl)


def _timeout(sending: _Sending, limit_s: float) -> str:
    if sending.connection is None:
        return f"cannot connect within {limit_s:g} s"
    return f"no {'complete ' if sending.connection.received else ''}reply within {limit_s:g} s"
