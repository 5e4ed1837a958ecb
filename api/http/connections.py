"""Limits on the open connections of a process: their number, in total and per client, and their time.

uvicorn does not close a connection that sends nothing, half a header or half a body. A few hundred of them would use
up the process's file descriptors, and no caller could connect any more.
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
"""How often the time limits of all connections are checked."""
WRITE_STALL_S = 30.0
"""How long a client may stop reading while the write buffer of its connection is full."""
CLOSE_LIMIT_S = 5.0
"""How long a client may take to read the rest of the last response on a connection that is closing."""
REFUSAL_LIMIT_S = 1.0
"""How long a refused connection stays open, so that its client can read the reason."""
REFUSALS_OPEN_MAX = 100
"""Refused connections that stay open at once. One more is aborted without a response."""
IPV6_PREFIX = 64
"""One client usually has a whole IPv6 network of this size, so its addresses are counted together."""

OPEN = Gauge("settlement_http_connections", "Open connections.")
CLOSED = Counter("settlement_http_connections_closed_total", "Connections closed by a limit.", ["reason"])


class Reason(StrEnum):
    """Which limit closed a connection. The values are those of the metric's label."""

    SILENT = "silent"
    """No request arrived in time."""
    HEADER = "header"
    """The header was not complete in time."""
    BODY = "body"
    """The body was not complete in time."""
    ANSWER_NOT_READ = "answer-not-read"
    EVICTED = "evicted"
    """It had no request in progress, and a new connection needed its place."""
    REFUSED = "refused"
    """Too many connections were open, all with requests in progress."""


for _reason in Reason:
    CLOSED.labels(_reason.value)  # a series must exist before an alert can see its first increase


@dataclass(frozen=True)
class Limits:
    """Limits on connections. `receive_s` applies to a complete header, and again to a complete body."""

    total: int = 2000
    per_client: int = 1000
    receive_s: float = 10.0


class ClientConnection(Protocol):
    """A connection, as the limits see it."""

    @property
    def peer(self) -> str | None:
        """The IP address of the client; None if the transport has none."""

    def overdue(self, now: float) -> Reason | None:
        """Return the limit that the connection has exceeded."""

    def close(self, reason: Reason) -> None:
        """Close the connection, with a response if the client waits for one."""

    def abort(self) -> None:
        """Close the connection at once, without a response."""


class Connections:
    """All open connections of one process. Each is idle or has a request in progress."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        # By client, in order of time: the connection that has been idle longest is evicted first.
        self._idle: dict[str, dict[ClientConnection, None]] = {}
        self._open: dict[ClientConnection, str] = {}
        self._open_of: dict[str, int] = {}
        self._refused: dict[ClientConnection, float] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return the number of open connections, without the refused ones."""
        return len(self._open)

    def admit(self, connection: ClientConnection) -> bool:
        """Admit a new connection, or return False if there is no place for it.

        If the client has used up its share, its connection that has been idle longest is evicted. If the process has
        no place left, the client with the most idle connections loses the one that has been idle longest.
        """
        self._schedule_sweep()
        client = client_of(connection.peer)
        if self._open_of.get(client, 0) >= self.limits.per_client:
            has_place = self._evict(self._idle.get(client, {}))
        elif len(self._open) >= self.limits.total:
            has_place = self._evict(max(self._idle.values(), key=len, default={}))
        else:
            has_place = True
        if has_place:
            self._open[connection] = client
            self._open_of[client] = self._open_of.get(client, 0) + 1
            self.mark_idle(connection)
            OPEN.set(len(self._open))
        return has_place

    def refuse(self, connection: ClientConnection) -> bool:
        """Count a refused connection; return whether it may stay open until its client has read the response."""
        self._record_closed(connection, Reason.REFUSED)
        if len(self._refused) >= REFUSALS_OPEN_MAX:
            return False
        self._refused[connection] = asyncio.get_running_loop().time() + REFUSAL_LIMIT_S
        return True

    def mark_idle(self, connection: ClientConnection) -> None:
        """Record that a connection has no request in progress: none has arrived, or it is incomplete."""
        client = self._open.get(connection)
        if client is not None:
            self._idle.setdefault(client, {})[connection] = None

    def mark_busy(self, connection: ClientConnection) -> None:
        """Record that a connection has a request in progress: complete, and not yet answered."""
        client = self._open.get(connection, "")
        idle = self._idle.get(client)
        if idle is not None and connection in idle:
            del idle[connection]
            if not idle:
                del self._idle[client]

    def remove(self, connection: ClientConnection) -> None:
        """Forget a connection. Repeating it changes nothing."""
        self._refused.pop(connection, None)
        self.mark_busy(connection)
        client = self._open.pop(connection, None)
        if client is not None:
            self._open_of[client] -= 1
            if not self._open_of[client]:
                del self._open_of[client]
        OPEN.set(len(self._open))

    def _evict(self, idle: dict[ClientConnection, None]) -> bool:
        oldest = next(iter(idle), None)
        if oldest is None:
            return False
        self._record_closed(oldest, Reason.EVICTED)
        self.remove(oldest)
        oldest.abort()
        return True

    def _schedule_sweep(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        now = asyncio.get_running_loop().time()
        for connection, until in list(self._refused.items()):
            if now >= until:
                connection.abort()
        for connection in list(self._open):
            reason = connection.overdue(now)
            if reason is not None:
                self._record_closed(connection, reason)
                connection.close(reason)
        if self._open or self._refused:
            self._schedule_sweep()

    def _record_closed(self, connection: ClientConnection, reason: Reason) -> None:
        CLOSED.labels(reason.value).inc()
        log.warning("connection closed", reason=reason.value, client=connection.peer, connections=len(self._open))


def client_of(peer: str | None) -> str:
    """Return the client that a connection is counted for: its IPv4 address, or the network of its IPv6 address."""
    try:
        address = ipaddress.ip_address((peer or "").partition("%")[0])
    except ValueError:
        return peer or ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
