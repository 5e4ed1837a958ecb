"""One connection to the endpoint. Requests are written byte for byte; replies are read with h11."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Self, TypeVar

import h11

RECEIVED_BYTES_MAX = 1_048_576
"""Longest reply that is read, head and body."""
_READ_SIZE = 65_536

T = TypeVar("T")


class ConnectionFailed(Exception):  # noqa: N818 - an observation, which becomes `Exchange.failure`
    """There is no complete HTTP reply. The message is one sentence that says why."""


@dataclass(frozen=True)
class Endpoint:
    """Where connections go to."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    """None: plain HTTP."""


class Connection:
    """One connection. It serves several exchanges, one after the other, while both sides keep it open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.received = bytearray()
        """The bytes of the current reply that were read so far."""
        self._is_at_end = False

    @classmethod
    async def open(cls, endpoint: Endpoint) -> Self:
        """Connect. Raises ConnectionFailed."""
        name = endpoint.host if endpoint.tls else None
        opening = asyncio.open_connection(endpoint.host, endpoint.port, ssl=endpoint.tls, server_hostname=name)
        return cls(*await _explained(opening))

    async def write(self, data: bytes) -> None:
        """Send bytes. Raises ConnectionFailed if the other side has closed the connection."""
        self._writer.write(data)
        await _explained(self._writer.drain())

    async def read_reply(self) -> int:
        """Read one reply into `received`, and return its HTTP status. Raises ConnectionFailed."""
        self.received = bytearray()
        parser, status = reply_parser(), None
        while True:
            event = self._next_event(parser)
            if event is h11.NEED_DATA:
                await self._feed(parser)
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.EndOfMessage) and status is not None:
                return status

    def _next_event(self, parser: h11.Connection) -> object:
        try:
            return parser.next_event()
        except h11.RemoteProtocolError as error:
            if not self._is_at_end:
                message = f"the reply is not HTTP: {error}"
            elif self.received:
                message = "connection closed before the reply was complete"
            else:
                message = "connection closed without a reply"
            raise ConnectionFailed(message) from None

    async def _feed(self, parser: h11.Connection) -> None:
        data = await _explained(self._reader.read(_READ_SIZE))
        self._is_at_end = not data
        self.received += data
        if len(self.received) > RECEIVED_BYTES_MAX:
            del self.received[RECEIVED_BYTES_MAX:]
            message = f"the reply is longer than {RECEIVED_BYTES_MAX} bytes"
            raise ConnectionFailed(message)
        parser.receive_data(data)

    async def is_closed_by_peer(self, wait_s: float) -> bool:
        """Wait at most `wait_s` seconds for the other side to close the idle connection; tell whether it did."""
        try:
            async with asyncio.timeout(wait_s):
                return not await self._reader.read(1)
        except TimeoutError:
            return False
        except OSError:
            return True

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        self._writer.close()
        try:
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    def abort(self) -> None:
        """Close the connection at once; data that was not sent yet is discarded."""
        self._writer.transport.abort()


def reply_parser() -> h11.Connection:
    """Return a parser for the reply to one POST request."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="POST", target="/", headers=[("Host", "endpoint"), ("Content-Length", "0")]))
    parser.send(h11.EndOfMessage())
    return parser


async def _explained(step: Awaitable[T]) -> T:
    """Await a step of a connection; raise ConnectionFailed for what can go wrong."""
    try:
        return await step
    except ssl.SSLError as error:
        message = f"TLS failed: {getattr(error, 'verify_message', '') or error.reason or error}"
    except ConnectionRefusedError:
        message = "connection refused"
    except (ConnectionResetError, BrokenPipeError):
        message = "connection reset by the endpoint"
    except socket.gaierror:
        message = "cannot resolve the name of the host"
    except OSError as error:
        message = f"cannot connect: {error.strerror or error}"
    raise ConnectionFailed(message)
