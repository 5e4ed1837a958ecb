"""The TCP connection of a request: when bytes arrived, when it was lost, and how to break it.

ASGI gives an application no access to the connection, but only the connection itself can be reset. So the HTTP protocol
class stores it in `scope["state"]`, which ASGI provides for data that the server shares with its application.
"""

import asyncio
import socket
import struct
import time
from dataclasses import dataclass, field

from uvicorn.protocols.http.h11_impl import H11Protocol

from simulator.call_journal import ConnectionEnding

CONNECTION_KEY = "simulator_connection"
"""Where `scope["state"]` holds the request's `RequestConnection`."""
_LINGER_0 = struct.pack("ii", 1, 0)


@dataclass
class RequestConnection:
    """One client connection. With keep-alive it serves several requests, one after the other."""

    transport: asyncio.Transport
    received_ns: int = 0
    """When bytes last arrived: epoch, ns."""
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    lost_ns: int | None = None
    ended_by_simulator: ConnectionEnding | None = None
    """How the simulator itself ended the connection; None if it did not."""

    def note_lost(self) -> None:
        """Record when the connection was lost, for whatever reason, and wake all waiters."""
        self.lost_ns = time.time_ns()
        self.lost.set()

    async def lost_within(self, wait_s: float) -> bool:
        """Wait at most `wait_s` seconds for the loss of the connection; tell whether it is lost."""
        try:
            async with asyncio.timeout(wait_s):
                await self.lost.wait()
        except TimeoutError:
            return False
        return True

    def abort(self, ending: ConnectionEnding) -> None:
        """Reset the connection at once (TCP RST); unsent data is discarded. The first recorded ending is kept."""
        if self.ended_by_simulator is None:
            self.ended_by_simulator = ending
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            # SO_LINGER with 0 seconds: closing discards unsent data and sends RST.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        self.transport.abort()

    def close(self, ending: ConnectionEnding) -> None:
        """Send the data written so far, then close the connection (TCP FIN). The first recorded ending is kept."""
        if self.ended_by_simulator is None:
            self.ended_by_simulator = ending
        self.transport.close()

    def ending(self) -> ConnectionEnding:
        """Return how the request on this connection ended: by the simulator, by the client, or with a reply."""
        if self.ended_by_simulator is not None:
            return self.ended_by_simulator
        return ConnectionEnding.REPLIED if self.lost_ns is None else ConnectionEnding.CLIENT_DISCONNECTED


class SimulatorProtocol(H11Protocol):
    """uvicorn's HTTP protocol, with the connection in `scope["state"]` and a shutdown that resets open requests."""

    client_connection: RequestConnection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """Store the new connection in the state that uvicorn gives to each of its requests."""
        super().connection_made(transport)
        self.client_connection = RequestConnection(transport)
        self.app_state = {**self.app_state, CONNECTION_KEY: self.client_connection}

    def data_received(self, data: bytes) -> None:
        """Record when the bytes arrived, before they are parsed."""
        self.client_connection.received_ns = time.time_ns()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Record the loss, then let uvicorn clean up."""
        self.client_connection.note_lost()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Reset the connection if a request is in flight, so that a hanging request does not delay the shutdown."""
        in_flight = getattr(self.cycle, "response_complete", True) is False  # before the first request cycle is None
        if in_flight:
            self.client_connection.abort(ConnectionEnding.SIMULATOR_STOPPED)
        else:
            super().shutdown()
