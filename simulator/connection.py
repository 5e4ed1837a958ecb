"""The connection under a request: when its bytes came, when it was lost, and how to break it.

ASGI hides the connection, and a reset can only be done to the connection itself. So the protocol
puts it where ASGI has a place for what a server shares with its application: `scope["state"]`.
"""

import asyncio
import socket
import struct
import time
from dataclasses import dataclass, field

from uvicorn.protocols.http.h11_impl import H11Protocol

from simulator.call_journal import ConnectionEnding

LINE = "simulator_line"
_LINGER_0 = struct.pack("ii", 1, 0)


@dataclass
class Line:
    """One client connection. It outlives a request: keep-alive brings the next one on it."""

    transport: asyncio.Transport
    received_ns: int = 0
    """When bytes last came in: epoch, ns."""
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    lost_ns: int | None = None
    broken_by_us: ConnectionEnding | None = None

    def note_lost(self) -> None:
        """Stamp the loss of the connection, whoever caused it, and wake who waits for it."""
        self.lost_ns = time.time_ns()
        self.lost.set()

    async def lost_within(self, wait_s: float) -> bool:
        """Wait for the loss of the connection, at most `wait_s` seconds; tell whether it is lost."""
        try:
            async with asyncio.timeout(wait_s):
                await self.lost.wait()
        except TimeoutError:
            return False
        return True

    def abort(self, ending: ConnectionEnding) -> None:
        """Close at once without flushing, with a reset instead of a farewell. The first reason stays."""
        if self.broken_by_us is None:
            self.broken_by_us = ending
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            # Linger 0: closing discards what is unsent and sends RST.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        self.transport.abort()

    def close(self, ending: ConnectionEnding) -> None:
        """Send what was written so far, then close in order. The first reason stays."""
        if self.broken_by_us is None:
            self.broken_by_us = ending
        self.transport.close()

    def ending(self) -> ConnectionEnding:
        """Tell how the exchange ended as far as the connection knows: broken by either side, or replied."""
        if self.broken_by_us is not None:
            return self.broken_by_us
        return ConnectionEnding.REPLIED if self.lost_ns is None else ConnectionEnding.CLIENT_DISCONNECTED


class SimulatorProtocol(H11Protocol):
    """uvicorn's HTTP protocol, with its connection in `scope["state"]` and a shutdown that waits for nobody."""

    line: Line

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """Put the new connection where its requests will find it."""
        super().connection_made(transport)
        self.line = Line(transport)
        self.app_state = {**self.app_state, LINE: self.line}

    def data_received(self, data: bytes) -> None:
        """Stamp the bytes before anything is done with them."""
        self.line.received_ns = time.time_ns()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stamp the loss, then let uvicorn clean up."""
        self.line.note_lost()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Break a connection with a request in flight: a hanging request must not hold up the end."""
        in_flight = getattr(self.cycle, "response_complete", True) is False  # no cycle yet: uvicorn leaves None there
        if in_flight:
            self.line.abort(ConnectionEnding.SIMULATOR_STOPPED)
        else:
            super().shutdown()
