"""One deadline from the send to the last byte of the reply: a call without a complete reply by then is UNKNOWN."""

import asyncio
import time

import aiohttp
import pytest
from yarl import URL

from connector import ExternalSystem, ExternalSystemConfig
from connector.exchange import NoReply, exchange, progress_hooks
from settlement.calls import Rule
from settlement.reply_record import ReplyRecord
from settlement.states import Outcome
from tests.unit.connector.raw_broker import (
    SHORT_REPLY_DEADLINE,
    SUCCESS,
    Answer,
    Peer,
    adjust,
    broker,
    in_turn,
    reply,
    sending,
    silence,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
DRIP_S = 0.02


def dripping(begin: bytes, drop: bytes) -> Answer:
    """Start a reply and send `drop` for ever, with intervals much shorter than the deadline."""

    async def answer(peer: Peer) -> None:
        await peer.send(begin)
        while not await peer.disconnected_within(DRIP_S):
            await peer.send(drop)

    return answer


NEVER_WHOLE: dict[str, Answer] = {
    "silence": silence,
    "head only": sending(HEAD),
    "head and no body": sending(HEAD + b"Content-Length: 35\r\n\r\n"),
    "all but the last byte": sending(reply()[:-1]),
    "chunks without an end": sending(HEAD + b"Transfer-Encoding: chunked\r\n\r\n23\r\n" + SUCCESS + b"\r\n"),
    "body without a length, left open": sending(HEAD + b"\r\n" + SUCCESS),
    "interim reply only": sending(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "dripping head": dripping(HEAD + b"X-Drip: ", b"x"),
    "dripping header lines": dripping(HEAD, b"X: y\r\n"),
    "dripping body": dripping(HEAD + b"Content-Length: 30000\r\n\r\n", b" "),
    "dripping chunks": dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "dripping interim replies": dripping(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
}


async def test_complete_reply_in_time_is_applied() -> None:
    async with broker(sending(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        verdict = await adjust(system)
    assert (verdict.outcome, verdict.rule) == (Outcome.APPLIED, Rule.CODE_SUCCESS)


async def test_reply_in_pieces_is_applied_when_complete() -> None:
    pieces = [bytes([byte]) for byte in reply()]
    async with broker(sending(*pieces)) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert (await adjust(system)).outcome is Outcome.APPLIED


@pytest.mark.parametrize("answer", NEVER_WHOLE.values(), ids=NEVER_WHOLE)
async def test_reply_that_is_not_complete_in_time_is_unknown(answer: Answer) -> None:
    """The call ends at the deadline, neither before nor when the broker ends it; it is sent once."""
    loop = asyncio.get_running_loop()
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        begun = loop.time()
        verdict = await adjust(system, SHORT_REPLY_DEADLINE)
        lasted = loop.time() - begun
        assert len(there.requests) == 1
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.DEADLINE)
    assert verdict.detail == "no whole reply within 0.3 s"
    assert 0.29 <= lasted < 6


async def test_connection_is_closed_at_the_deadline() -> None:
    """So the broker sees the end of the call, and a late reply cannot reach another call."""
    left = asyncio.Event()

    async def answer(peer: Peer) -> None:
        if await peer.disconnected_within(10):
            left.set()

    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        await adjust(system, SHORT_REPLY_DEADLINE)
        async with asyncio.timeout(10):
            await left.wait()


async def test_late_reply_never_answers_the_next_call() -> None:
    next_call = asyncio.Event()

    async def late(peer: Peer) -> None:
        await next_call.wait()
        await peer.send(reply())

    async def prompt(peer: Peer) -> None:
        next_call.set()
        await peer.send(reply(b'{"code":"E2"}'))

    async with broker(in_turn(late, prompt)) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        first, second = await adjust(system, SHORT_REPLY_DEADLINE), await adjust(system)
        assert [request.connection for request in there.requests] == [1, 2]
    assert (first.rule, second.reply) == (Rule.DEADLINE, ReplyRecord(code="E2"))


async def test_deadline_starts_when_the_request_is_written() -> None:
    """A worker that is stopped just before it writes does not shorten the external system's time."""
    hung_s: list[float] = []

    async def answer(peer: Peer) -> None:
        received = asyncio.get_running_loop().time()
        await peer.disconnected_within(10)
        hung_s.append(asyncio.get_running_loop().time() - received)

    async def stop_the_process(*_: object) -> None:
        time.sleep(SHORT_REPLY_DEADLINE.reply_s / 2)  # noqa: ASYNC251 - nothing else runs in a stopped process

    stopped = aiohttp.TraceConfig()
    stopped.on_request_chunk_sent.append(stop_the_process)
    async with (
        broker(answer) as there,
        aiohttp.ClientSession(trace_configs=[progress_hooks(), stopped]) as session,
    ):
        ended = await exchange(session, URL(there.url), {}, b"{}", SHORT_REPLY_DEADLINE)
        async with asyncio.timeout(10):
            while not hung_s:
                await asyncio.sleep(0.01)
    assert isinstance(ended, NoReply)
    assert hung_s[0] >= SHORT_REPLY_DEADLINE.reply_s * 0.95


async def test_cancellation_of_the_call_is_raised() -> None:
    """A worker's shutdown must not look like a deadline."""
    reached = asyncio.Event()

    async def answer(peer: Peer) -> None:
        reached.set()
        await silence(peer)

    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        call = asyncio.create_task(adjust(system))
        await reached.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
