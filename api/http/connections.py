"""The open connections of a process: how many there may be, in all and per client, and how long each may take.

uvicorn itself closes neither a connection that sends nothing nor one with half a header or half a body. A few hundred
of them would use up the process's file descriptors, and no caller could connect any more.
"""

import asyncio
import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge

from config.sampling import SampledLog

log = SampledLog(structlog.get_logger())

SWEEP_S = 0.5
"""How often all connections are looked at; a limit is kept within it."""
WRITE_STALL_S = 30.0
"""How long a client may take to read on while more is waiting for it than the server buffers."""
CLOSE_S = 5.0
"""How long a client may take to read the rest of an answer after which the connection is closed."""
LINGER_S = 1.0
"""How long a refused connection stays, so that its client can read why."""
LINGERING_MAX = 100
"""Refused connections that stay at once; one more is cut without an answer."""
IPV6_PREFIX = 64
"""One client usually has a whole network of IPv6 addresses of this size."""

OPEN = Gauge("settlement_http_connections", "Open connections.")
CLOSED = Counter("settlement_http_connections_closed_total", "Connections that were closed by a limit.", ["reason"])


class Reason(StrEnum):
    """Why a connection was closed by a limit; the values of the metric's label."""

    SILENT = "silent"
    """No request came in time."""
    HEADER = "header"
    """The header was not complete in time."""
    BODY = "body"
    """The body was not complete in time."""
    ANSWER_NOT_READ = "answer-not-read"
    EVICTED = "evicted"
    """It had no request under way, and its place was needed for a new connection."""
    REFUSED = "refused"
    """Too many were open, all with requests under way."""


for _reason in Reason:
    CLOSED.labels(_reason.value)  # a series that is there from the start can be watched for its first increase


@dataclass(frozen=True)
class Limits:
    """Limits on connections. `receive_s` counts once for a whole header, and once for a whole body."""

    total: int = 2000
    per_client: int = 1000
    receive_s: float = 10.0


class ClientConnection(Protocol):
    """What the limits need to know of a connection, and what they do to it."""

    @property
    def peer(self) -> str | None:
        """The client's IP address; None where the transport has none."""

    def overdue(self, now: float) -> Reason | None:
        """Return the limit that the connection has exceeded."""

    def end(self, reason: Reason) -> None:
        """Close the connection, with an answer where the client waits for one."""

    def cut(self) -> None:
        """Close the connection at once."""


class Connections:
    """All open connections of one process, each either waiting for a request or with one under way."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        # By client, in order of time: the connection that has waited longest is evicted first.
        self._waiting: dict[str, dict[ClientConnection, None]] = {}
        self._open: dict[ClientConnection, str] = {}
        self._open_of: dict[str, int] = {}
        self._lingering: dict[ClientConnection, float] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many are open, without those that were refused."""
        return len(self._open)

    def admit(self, connection: ClientConnection) -> bool:
        """Take in a new connection; False: there is no place for it, it was refused.

        A client that has its share gives up the oldest of its own connections without a request under way. Where
        all clients together have all, the client with most of such connections gives up its oldest.
        """
        self._sweep_from_now_on()
        client = client_of(connection.peer)
        if self._open_of.get(client, 0) >= self.limits.per_client:
            there_is_place = self._evict(self._waiting.get(client, {}))
        elif len(self._open) >= self.limits.total:
            there_is_place = self._evict(max(self._waiting.values(), key=len, default={}))
        else:
            there_is_place = True
        if there_is_place:
            self._open[connection] = client
            self._open_of[client] = self._open_of.get(client, 0) + 1
            self.waits(connection)
            OPEN.set(len(self._open))
        return there_is_place

    def refuse(self, connection: ClientConnection) -> bool:
        """Count a refused connection; return whether it may stay a moment for its answer to be read."""
        self._closed(connection, Reason.REFUSED)
        if len(self._lingering) >= LINGERING_MAX:
            return False
        self._lingering[connection] = asyncio.get_running_loop().time() + LINGER_S
        return True

    def waits(self, connection: ClientConnection) -> None:
        """Note that a connection has no request under way: none has come, or it is not complete."""
        client = self._open.get(connection)
        if client is not None:
            self._waiting.setdefault(client, {})[connection] = None

    def works(self, connection: ClientConnection) -> None:
        """Note that a connection has a request under way: it has come whole, and its answer has not gone out."""
        client = self._open.get(connection, "")
        waiting = self._waiting.get(client)
        if waiting is not None and connection in waiting:
            del waiting[connection]
            if not waiting:
                del self._waiting[client]

    def remove(self, connection: ClientConnection) -> None:
        """Forget a connection; repeating it changes nothing."""
        self._lingering.pop(connection, None)
        self.works(connection)
        client = self._open.pop(connection, None)
        if client is not None:
            self._open_of[client] -= 1
            if not self._open_of[client]:
                del self._open_of[client]
        OPEN.set(len(self._open))

    def _evict(self, waiting: dict[ClientConnection, None]) -> bool:
        oldest = next(iter(waiting), None)
        if oldest is None:
            return False
        self._closed(oldest, Reason.EVICTED)
        self.remove(oldest)
        oldest.cut()
        return True

    def _sweep_from_now_on(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        now = asyncio.get_running_loop().time()
        for connection, until in list(self._lingering.items()):
            if now >= until:
                connection.cut()
        for connection in list(self._open):
            reason = connection.overdue(now)
            if reason is not None:
                self._closed(connection, reason)
                connection.end(reason)
        if self._open or self._lingering:
            self._sweep_from_now_on()

    def _closed(self, connection: ClientConnection, reason: Reason) -> None:
        CLOSED.labels(reason.value).inc()
        log.warning("connection closed", reason=reason.value, client=connection.peer, connections=len(self._open))


def client_of(peer: str | None) -> str:
    """Return whose connections count together: an IPv4 address, or a network of IPv6 addresses."""
    try:
        address = ipaddress.ip_address((peer or "").partition("%")[0])
    except ValueError:
        return peer or ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
