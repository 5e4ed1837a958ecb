"""Replies with random damage: one verdict, no exception, one request, in time."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from connector import Deadlines, ExternalSystem, ExternalSystemConfig
from settlement.states import Outcome
from tests.unit.connector.raw_broker import Peer, adjust, broker, reply

ACCEPTABLE = [
    [reply(b'{"code":"E1"}')],
    [b"HTTP/1.1 200 OK\r\n", b"Content-Length: 13\r\n\r\n", b'{"code":', b'"E1"}'],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b'd\r\n{"code":"E1"}\r\n', b"0\r\n\r\n"],
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b'{"code":"E1"}'],
]
DEADLINES = Deadlines(connect_s=10, reply_s=0.2)
"""Short, because some damage makes a reply that never ends."""


@st.composite
def damaged(draw: st.DrawFn) -> list[bytes]:
    """Draw a reply in parts, with a few bytes changed, removed or inserted. Its code is never 0."""
    parts = [bytearray(part) for part in draw(st.sampled_from(ACCEPTABLE))]
    for _ in range(draw(st.integers(0, 3))):
        part = draw(st.sampled_from(parts))
        place = draw(st.integers(0, len(part)))
        cut = draw(st.integers(0, 3))
        part[place : place + cut] = draw(
            st.sampled_from([b"", b"\r\n", b"\n", b":", b" ", b"\x00", b"\xff", b"9", b"z"])
        )
    return [bytes(part) for part in parts]


@settings(max_examples=40, deadline=None)
@given(damaged())
async def test_damaged_reply_is_never_applied_and_never_raises(parts: list[bytes]) -> None:
    async def answer(peer: Peer) -> None:
        for part in parts:
            await peer.send(part)
            if await peer.disconnected_within(0.001):
                return
        peer.close()

    loop = asyncio.get_running_loop()
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        begun = loop.time()
        verdict = await adjust(system, DEADLINES)
        assert loop.time() - begun < 6
        assert len(there.requests) == 1
    assert verdict.outcome in {Outcome.REJECTED, Outcome.UNKNOWN}
