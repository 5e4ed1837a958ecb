"""uvicorn's HTTP protocol, with limits on how long a client may take, and errors as problem+json."""

import asyncio
from enum import Enum, auto
from http import HTTPStatus
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from api.http.connections import CLOSE_S, WRITE_STALL_S, Connections, Reason
from api.http.problems import CONTENT_TYPE, ProblemError
from schemas.problems import ErrorCode


class _Phase(Enum):
    """What the server waits for on a connection."""

    IDLE = auto()
    """The next request; uvicorn's own keep-alive limit counts."""
    HEADER = auto()
    """The first request, or the rest of a header."""
    BODY = auto()
    ANSWER = auto()
    """The application."""


class LimitedProtocol(H11Protocol):
    """One connection. Subclasses set `connections`, which all connections of a server share."""

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
        """The client's IP address."""
        return self.client[0] if self.client else None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """Take in the connection, or refuse it."""
        super().connection_made(transport)
        self._since = self.loop.time()
        if not self.connections_of_server.admit(self):
            self._refused = True
            self._refuse()

    def data_received(self, data: bytes) -> None:
        """Read on; what a refused client sends is dropped."""
        if self._refused or self.transport.is_closing():
            return
        self._received = True
        super().data_received(data)
        self._note_phase()

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        super().on_response_complete()
        self._note_phase()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the connection's place free."""
        self.connections_of_server.remove(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note since when the client does not read on."""
        self._writing_stalled_at = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client reads on."""
        self._writing_stalled_at = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not HTTP, and close; without an answer where there has been one already."""
        if self._phase is _Phase.BODY and self.cycle.response_started:
            self.transport.close()
        else:
            self._answer(ProblemError(ErrorCode.MALFORMED_REQUEST, f"not HTTP/1.1: {msg}"))

    def shutdown(self) -> None:
        """Close the connection, after the answer to a request that is under way."""
        if not self.transport.is_closing():
            super().shutdown()

    def overdue(self, now: float) -> Reason | None:
        """Return the limit that the connection has exceeded."""
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            return Reason.ANSWER_NOT_READ if now - self._closing_since > CLOSE_S else None
        if self._writing_stalled_at is not None:
            return Reason.ANSWER_NOT_READ if now - self._writing_stalled_at > WRITE_STALL_S else None
        if now - self._since <= self.connections_of_server.limits.receive_s:
            return None
        if self._phase is _Phase.HEADER:
            return Reason.HEADER if self._received else Reason.SILENT
        return Reason.BODY if self._phase is _Phase.BODY else None

    def end(self, reason: Reason) -> None:
        """Close, with 408 where a client waits for an answer and none has begun."""
        answered = self._phase is _Phase.BODY and self.cycle.response_started
        if reason not in {Reason.HEADER, Reason.BODY} or answered:
            self.cut()
            return
        limit_s = self.connections_of_server.limits.receive_s
        detail = f"the {reason} of the request was not complete within {limit_s:g} s"
        self._answer(ProblemError(ErrorCode.REQUEST_TIMEOUT, detail))

    def cut(self) -> None:
        """Close the connection at once; what was not read of an answer is lost."""
        self.transport.abort()

    @property
    def _request(self) -> RequestResponseCycle | None:
        """The last request; uvicorn has None there before the first one."""
        return self.cycle

    def _note_phase(self) -> None:
        """Record what the server waits for now, and since when. The time starts anew with each request."""
        phase = self._phase_now()
        if phase is not self._phase or self.cycle is not self._cycle:
            self._phase, self._cycle, self._since = phase, self.cycle, self.loop.time()
        if phase is _Phase.ANSWER:
            self.connections_of_server.works(self)
        else:
            self.connections_of_server.waits(self)

    def _phase_now(self) -> _Phase:
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            return _Phase.BODY
        if state is not h11.IDLE:
            return _Phase.ANSWER
        return _Phase.HEADER if self._request is None or self.conn.trailing_data[0] else _Phase.IDLE

    def _refuse(self) -> None:
        detail = "too many connections are open; close idle ones, or try again later"
        if not self.connections_of_server.refuse(self):
            self.cut()
            return
        self.transport.write(_raw(ProblemError(ErrorCode.TOO_MANY_CONNECTIONS, detail)))
        # Closed for writing only: closing a connection with unread bytes resets it, and the answer would be lost.
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _answer(self, problem: ProblemError) -> None:
        """Answer in place of the application, which hears that the client has gone, and close."""
        request = self._request
        if request is not None and not request.response_complete:
            request.disconnected = True
            request.message_event.set()
        self.transport.write(_raw(problem))
        self.transport.close()


def limited_protocol(connections: Connections) -> type[asyncio.Protocol]:
    """Return the protocol for a server: what `uvicorn.Config` takes as `http`."""
    return type("ServerProtocol", (LimitedProtocol,), {"connections_of_server": connections})


def _raw(problem: ProblemError) -> bytes:
    """Return a whole answer as bytes: there may be no request, and no state of the parser, to answer from."""
    answer = problem.response()
    status = HTTPStatus(answer.status_code)
    headers = {
        "content-type": CONTENT_TYPE,
        "content-length": str(len(answer.body)),
        "connection": "close",
        **{name.lower(): value for name, value in problem.headers.items()},
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + bytes(answer.body)
