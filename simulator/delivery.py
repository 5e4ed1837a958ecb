"""Sends a reply as its reply mode says: completely, late, byte by byte, in half, not at all, or with a reset."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from simulator.call_journal import ConnectionEnding, Request
from simulator.connection import RequestConnection
from simulator.faults import ReplyMode
from simulator.payloads import Payload, payload_of
from simulator.replies import reply_body
from simulator.request_handler import HandledReply
from simulator.service import SimulatorService, log

DRIP_INTERVAL_S = 0.5
_CHUNK_SIZE = 65_536


@dataclass
class OutgoingReply:
    """One reply while it is sent: the ASGI channel, the connection, and the status line sent so far."""

    send: Send
    connection: RequestConnection
    request: Request
    reply: HandledReply
    status_sent: int | None = None

    @cached_property
    def payload(self) -> Payload:
        """The content to send. It is built on first use, because its `tm` counts the time until then."""
        body = reply_body(self.reply.result, trace=self.request.trace or "", received_ns=self.request.received_ns)
        return payload_of(self.reply.mode, body)

    async def start(self) -> None:
        """Send status line and headers; Content-Length is always the length of the complete payload."""
        headers = {"content-type": self.payload.content_type, "content-length": str(len(self.payload.content))}
        raw = [(name.encode(), value.encode()) for name, value in (headers | self.payload.headers).items()]
        await self.send({"type": "http.response.start", "status": self.payload.status, "headers": raw})
        self.status_sent = self.payload.status if self.connection.lost_ns is None else None

    async def write(self, content: bytes) -> None:
        """Send a part of the body."""
        await self.send({"type": "http.response.body", "body": content, "more_body": True})

    async def finish(self) -> None:
        """Send the end of the body."""
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_all(outgoing: OutgoingReply) -> None:
    await outgoing.start()
    content = outgoing.payload.content
    for start in range(0, len(content), _CHUNK_SIZE):
        await outgoing.write(content[start : start + _CHUNK_SIZE])
    await outgoing.finish()


async def _send_late(outgoing: OutgoingReply) -> None:
    if not await outgoing.connection.lost_within(outgoing.reply.delay_s):
        await _send_all(outgoing)


async def _send_nothing(outgoing: OutgoingReply) -> None:
    await outgoing.connection.lost.wait()


async def _send_byte_by_byte(outgoing: OutgoingReply) -> None:
    await outgoing.start()
    for byte in outgoing.payload.content:
        await outgoing.write(bytes([byte]))
        if await outgoing.connection.lost_within(DRIP_INTERVAL_S):
            return
    await outgoing.finish()


async def _reset_connection(outgoing: OutgoingReply) -> None:
    outgoing.connection.abort(ConnectionEnding.RESET)
    await outgoing.connection.lost.wait()


async def _send_half(outgoing: OutgoingReply) -> None:
    await outgoing.start()
    await outgoing.write(outgoing.payload.content[: len(outgoing.payload.content) // 2])
    outgoing.connection.close(ConnectionEnding.CUT)
    await outgoing.connection.lost.wait()


_SEND: dict[ReplyMode, Callable[[OutgoingReply], Awaitable[None]]] = {
    ReplyMode.LATE: _send_late,
    ReplyMode.HANG: _send_nothing,
    ReplyMode.DRIP: _send_byte_by_byte,
    ReplyMode.RESET: _reset_connection,
    ReplyMode.CUT: _send_half,
}
"""All other modes change only the content (`payloads.py`)."""


class Delivery(Response):
    """One reply as an ASGI response. It ends when the client disconnects, or after `hold_max_s` seconds."""

    def __init__(
        self,
        service: SimulatorService,
        request: Request,
        connection: RequestConnection,
        call_id: int,
        reply: HandledReply,
    ) -> None:
        super().__init__()
        self._service, self._request, self._connection = service, request, connection
        self._call_id, self._reply = call_id, reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply in its mode, then record in the journal how the request ended."""
        del scope, receive  # the connection records exactly when the client disconnected; ASGI does not
        outgoing = OutgoingReply(send, self._connection, self._request, self._reply)
        await self._send(outgoing)
        await self._record(outgoing)

    async def _send(self, outgoing: OutgoingReply) -> None:
        try:
            async with asyncio.timeout(self._service.settings.hold_max_s):
                await _SEND.get(self._reply.mode, _send_all)(outgoing)
        except TimeoutError:
            self._connection.abort(ConnectionEnding.TIMED_OUT)
            await self._connection.lost.wait()

    async def _record(self, outgoing: OutgoingReply) -> None:
        ending, ended_ns = self._connection.ending(), self._connection.lost_ns or time.time_ns()
        code = outgoing.payload.code if ending is ConnectionEnding.REPLIED else None
        journal = self._service.handler.journal
        await self._service.database.run(journal.end, self._call_id, ending, ended_ns, outgoing.status_sent, code)
        own, reverse = self._request.numbers()
        log.info(
            "call_ended",
            operation=self._request.operation,
            requestUniqueNo=own,
            reverseRequestUniqueNo=reverse,
            trace=self._request.trace,
            fault=self._reply.fault,
            ended=ending,
            code=code,
            duration_ms=(ended_ns - self._request.received_ns) // 1_000_000,
        )
