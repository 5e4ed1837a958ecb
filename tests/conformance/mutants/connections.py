"""Faults of the connections: reuse, idle close, slow clients, and requests that are cut off."""

import asyncio
import json
import time
from typing import ClassVar

from fastapi import Request as HttpRequest
from starlette.requests import ClientDisconnect

from simulator import app
from simulator.call_journal import ConnectionEnding
from simulator.connection import SimulatorProtocol
from tests.conformance.mutants.mutant import Mutant, mutant, replacing, with_protocol

IDLE_S = 1.5


class ClosesAfterEachReply(SimulatorProtocol):
    """Closes the connection after each reply, without the header that says so."""

    def on_response_complete(self) -> None:
        """Close after the reply."""
        super().on_response_complete()
        self.transport.close()


class ReadsOneRequest(SimulatorProtocol):
    """Never reads a second request on a connection."""

    _replies = 0

    def on_response_complete(self) -> None:
        """Count the reply."""
        super().on_response_complete()
        self._replies += 1

    def data_received(self, data: bytes) -> None:
        """Drop what comes after the first reply."""
        if not self._replies:
            super().data_received(data)


class ResetsIdleConnections(SimulatorProtocol):
    """Resets a connection that was idle for 1.5 s when the next request comes, and carries that request out."""

    _replied_at: float | None = None

    def on_response_complete(self) -> None:
        """Note when the connection became idle."""
        super().on_response_complete()
        self._replied_at = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """Read the request, then reset if it comes late."""
        super().data_received(data)
        if self._replied_at is not None and time.monotonic() - self._replied_at > IDLE_S:
            self.client_connection.abort(ConnectionEnding.RESET)


class ReadsOneClientAtATime(SimulatorProtocol):
    """Reads no other connection until the request that it is reading is complete."""

    _reading: ClassVar["ReadsOneClientAtATime | None"] = None
    _waiting: ClassVar[list[tuple["ReadsOneClientAtATime", bytes]]] = []

    def data_received(self, data: bytes) -> None:
        """Read, or wait for the connection that is being read."""
        cls = ReadsOneClientAtATime
        if cls._reading not in {None, self}:
            cls._waiting.append((self, data))
            return
        cls._reading = self
        super().data_received(data)
        if not getattr(self.cycle, "more_body", True):
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Read the next connection."""
        super().connection_lost(exc)
        cls = ReadsOneClientAtATime
        cls._waiting = [each for each in cls._waiting if each[0] is not self]
        if cls._reading is self:
            self._next()

    def _next(self) -> None:
        cls = ReadsOneClientAtATime
        cls._reading = None
        if cls._waiting:
            other, data = cls._waiting.pop(0)
            asyncio.get_running_loop().call_soon(other.data_received, data)


async def _read_what_comes(http: HttpRequest) -> bytes:
    """Read the body; where it is cut off, complete what has come."""
    body = bytearray()
    try:
        async for chunk in http.stream():
            body += chunk
    except ClientDisconnect:
        return _completed(bytes(body))
    return bytes(body)


def _completed(body: bytes) -> bytes:
    """Return the fields that have come completely as JSON; a text that is cut off ends where it is cut."""
    text = body.decode(errors="ignore").rstrip(", \n")
    for end in ("", "}", '"}', "null}", ": null}", '": null}'):
        try:
            json.loads(text + end)
        except ValueError:
            continue
        return (text + end).encode()
    return body


CONNECTIONS: dict[str, Mutant] = {
    "closes-after-each-reply": mutant(with_protocol(ClosesAfterEachReply), "C-060"),
    "reads-one-request-of-a-connection": mutant(with_protocol(ReadsOneRequest), "C-060"),
    "resets-idle-connections": mutant(with_protocol(ResetsIdleConnections), "C-061"),
    "a-slow-client-blocks-others": mutant(with_protocol(ReadsOneClientAtATime), "C-062"),
    "applies-a-request-that-is-cut-off": mutant(replacing(app, _read_body=_read_what_comes), "C-063"),
}
