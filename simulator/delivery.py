"""How an answer leaves the simulator: in full, late, in drops, cut, reset, or never."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from simulator.call_journal import ConnectionEnding, Request
from simulator.connection import Line
from simulator.faults import Manner
from simulator.instance import SimulatorInstance
from simulator.logs import log
from simulator.payloads import Payload, payload_of
from simulator.replies import table_4
from simulator.request_handler import HandledReply

DRIP_INTERVAL_S = 0.5
_CHUNK_SIZE = 65_536


@dataclass
class Exchange:
    """One reply on its way: the ASGI side, the connection under it, and what has left so far."""

    send: Send
    line: Line
    request: Request
    answer: HandledReply
    status_sent: int | None = None

    @cached_property
    def payload(self) -> Payload:
        """What is written, made when it is first wanted: `tm` counts until then."""
        reply = table_4(self.answer.result, trace=self.request.trace or "", received_ns=self.request.received_ns)
        return payload_of(self.answer.manner, reply)

    async def start(self) -> None:
        """Send status line and headers; Content-Length always names the whole payload."""
        headers = {"content-type": self.payload.content_type, "content-length": str(len(self.payload.content))}
        raw = [(name.encode(), value.encode()) for name, value in (headers | self.payload.headers).items()]
        await self.send({"type": "http.response.start", "status": self.payload.status, "headers": raw})
        self.status_sent = self.payload.status if self.line.lost_ns is None else None

    async def write(self, content: bytes) -> None:
        """Send a part of the body."""
        await self.send({"type": "http.response.body", "body": content, "more_body": True})

    async def finish(self) -> None:
        """Send the end of the body."""
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _whole(exchange: Exchange) -> None:
    await exchange.start()
    content = exchange.payload.content
    for start in range(0, len(content), _CHUNK_SIZE):
        await exchange.write(content[start : start + _CHUNK_SIZE])
    await exchange.finish()


async def _late(exchange: Exchange) -> None:
    if not await exchange.line.lost_within(exchange.answer.delay_s):
        await _whole(exchange)


async def _hang(exchange: Exchange) -> None:
    await exchange.line.lost.wait()


async def _drip(exchange: Exchange) -> None:
    await exchange.start()
    for byte in exchange.payload.content:
        await exchange.write(bytes([byte]))
        if await exchange.line.lost_within(DRIP_INTERVAL_S):
            return
    await exchange.finish()


async def _reset(exchange: Exchange) -> None:
    exchange.line.abort(ConnectionEnding.RESET)
    await exchange.line.lost.wait()


async def _cut(exchange: Exchange) -> None:
    await exchange.start()
    await exchange.write(exchange.payload.content[: len(exchange.payload.content) // 2])
    exchange.line.close(ConnectionEnding.CUT)
    await exchange.line.lost.wait()


_ACTS: dict[Manner, Callable[[Exchange], Awaitable[None]]] = {
    Manner.LATE: _late,
    Manner.HANG: _hang,
    Manner.DRIP: _drip,
    Manner.RESET: _reset,
    Manner.CUT: _cut,
}


class Delivery(Response):
    """One answer as an ASGI response. It ends when the client goes, and after `hold_max_s` in any case."""

    def __init__(
        self, instance: SimulatorInstance, request: Request, line: Line, call_id: int, answer: HandledReply
    ) -> None:
        super().__init__()
        self._instance, self._request, self._line = instance, request, line
        self._call_id, self._answer = call_id, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer in its manner, then record how that ended."""
        del scope, receive  # the connection itself tells when the client is gone, and exactly when
        exchange = Exchange(send, self._line, self._request, self._answer)
        await self._carry_out(exchange)
        await self._record(exchange)

    async def _carry_out(self, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(self._instance.settings.hold_max_s):
                await _ACTS.get(self._answer.manner, _whole)(exchange)
        except TimeoutError:
            self._line.abort(ConnectionEnding.TIMED_OUT)
            await self._line.lost.wait()

    async def _record(self, exchange: Exchange) -> None:
        ending, ended_ns = self._line.ending(), self._line.lost_ns or time.time_ns()
        code = exchange.payload.code if ending is ConnectionEnding.REPLIED else None
        journal = self._instance.handler.journal
        await self._instance.store.run(journal.end, self._call_id, ending, ended_ns, exchange.status_sent, code)
        own, reverse = self._request.numbers()
        log.info(
            "call_ended",
            operation=self._request.operation,
            requestUniqueNo=own,
            reverseRequestUniqueNo=reverse,
            trace=self._request.trace,
            fault=self._answer.fault,
            ended=ending,
            code=code,
            duration_ms=(ended_ns - self._request.received_ns) // 1_000_000,
        )
