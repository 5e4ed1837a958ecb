"""uvicorn's HTTP protocol, with time limits for clients and with errors as problem+json."""

import asyncio
from enum import Enum, auto
from http import HTTPStatus
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from api.http.connections import CLOSE_LIMIT_S, WRITE_STALL_S, Connections, Reason
from api.http.problems import CONTENT_TYPE, ProblemError
from api.http.security_headers import HEADERS
from schemas.problems import ErrorCode


class _Phase(Enum):
    """What the server waits for on a connection."""

    IDLE = auto()
    """The next request; uvicorn's keep-alive limit applies."""
    HEADER = auto()
    """The first request, or the rest of a header."""
    BODY = auto()
    ANSWER = auto()
    """The application."""


class LimitedProtocol(H11Protocol):
    """One connection. A subclass sets `connections_of_server`, which all connections of a server share."""

    connections_of_server: ClassVar[Connections]

    _phase = _Phase.HEADER
    _cycle: RequestResponseCycle | None = None
    _since = 0.0
    _received = False
    _refused = False
    _writing_stalled_at: float | None = None
    _closing_since: float | None = None

    @property
    def peer(self) -> str | None:
        """The IP address of the client."""
        return self.client[0] if self.client else None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """Admit the connection, or refuse it."""
        super().connection_made(transport)
        self._since = self.loop.time()
        if not self.connections_of_server.admit(self):
            self._refused = True
            self._refuse()

    def data_received(self, data: bytes) -> None:
        """Process data. Data from a refused client is dropped."""
        if self._refused or self.transport.is_closing():
            return
        self._received = True
        super().data_received(data)
        self._update_phase()

    def on_response_complete(self) -> None:
        """Continue with the next request."""
        super().on_response_complete()
        self._update_phase()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the place of the connection."""
        self.connections_of_server.remove(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Record since when the client does not read."""
        self._writing_stalled_at = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Record that the client reads again."""
        self._writing_stalled_at = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Close the connection of a request that is not HTTP, with a response unless one has started."""
        if self._phase is _Phase.BODY and self.cycle.response_started:
            self.transport.close()
        else:
            self._respond(ProblemError(ErrorCode.MALFORMED_REQUEST, f"not HTTP/1.1: {msg}"))

    def shutdown(self) -> None:
        """Close the connection after the response to a request in progress."""
        if not self.transport.is_closing():
            super().shutdown()

    def overdue(self, now: float) -> Reason | None:
        """Return the limit that the connection has exceeded."""
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            return Reason.ANSWER_NOT_READ if now - self._closing_since > CLOSE_LIMIT_S else None
        if self._writing_stalled_at is not None:
            return Reason.ANSWER_NOT_READ if now - self._writing_stalled_at > WRITE_STALL_S else None
        if now - self._since <= self.connections_of_server.limits.receive_s:
            return None
        if self._phase is _Phase.HEADER:
            return Reason.HEADER if self._received else Reason.SILENT
        return Reason.BODY if self._phase is _Phase.BODY else None

    def close(self, reason: Reason) -> None:
        """Close the connection, with 408 if the client waits for a response and none has started."""
        responded = self._phase is _Phase.BODY and self.cycle.response_started
        if reason not in {Reason.HEADER, Reason.BODY} or responded:
            self.abort()
            return
        limit_s = self.connections_of_server.limits.receive_s
        detail = f"the {reason} of the request was not complete within {limit_s:g} s"
        self._respond(ProblemError(ErrorCode.REQUEST_TIMEOUT, detail))

    def abort(self) -> None:
        """Close the connection at once. The unread part of a response is lost."""
        self.transport.abort()

    @property
    def _request(self) -> RequestResponseCycle | None:
        """The last request; None before the first one."""
        return self.cycle

    def _update_phase(self) -> None:
        """Record what the server waits for, and since when. Each request restarts the time."""
        phase = self._current_phase()
        if phase is not self._phase or self.cycle is not self._cycle:
            self._phase, self._cycle, self._since = phase, self.cycle, self.loop.time()
        if phase is _Phase.ANSWER:
            self.connections_of_server.mark_busy(self)
        else:
            self.connections_of_server.mark_idle(self)

    def _current_phase(self) -> _Phase:
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            return _Phase.BODY
        if state is not h11.IDLE:
            return _Phase.ANSWER
        return _Phase.HEADER if self._request is None or self.conn.trailing_data[0] else _Phase.IDLE

    def _refuse(self) -> None:
        detail = "too many connections are open; close idle ones, or try again later"
        if not self.connections_of_server.refuse(self):
            self.abort()
            return
        self.transport.write(_raw(ProblemError(ErrorCode.TOO_MANY_CONNECTIONS, detail)))
        # Closed for writing only. Closing a connection with unread data resets it, and the response would be lost.
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _respond(self, problem: ProblemError) -> None:
        """Respond in place of the application, tell it that the client has disconnected, and close."""
        request = self._request
        if request is not None and not request.response_complete:
            request.disconnected = True
            request.message_event.set()
        self.transport.write(_raw(problem))
        self.transport.close()


def limited_protocol(connections: Connections) -> type[asyncio.Protocol]:
    """Return the protocol class of a server, for the argument `http` of `uvicorn.Config`."""
    return type("ServerProtocol", (LimitedProtocol,), {"connections_of_server": connections})


def _raw(problem: ProblemError) -> bytes:
    """Return a complete response as bytes. Without a parsed request, h11 cannot build one."""
    response = problem.response()
    status = HTTPStatus(response.status_code)
    headers = {
        "content-type": CONTENT_TYPE,
        "content-length": str(len(response.body)),
        "connection": "close",
        **{name.lower(): value for name, value in HEADERS.items()},
        **{name.lower(): value for name, value in problem.headers.items()},
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + bytes(response.body)
