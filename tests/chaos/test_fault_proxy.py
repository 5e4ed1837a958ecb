"""Each mishap of the fault proxy, seen by a real client and a real server on both sides of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from stack.ports import free_port
from tests.chaos.fault_proxy import HOST, FaultProxy
from tests.chaos.network_faults import CLEAR, FAULTS, Mishap, NetworkFault, Weather
from tests.support.polling import until

REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n0123456789"
REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabcdefghij"
SOON_S = 0.3


@dataclass
class Server:
    """What arrived, connection by connection."""

    received: list[bytearray] = field(default_factory=list)

    @property
    def whole(self) -> int:
        """How many whole requests arrived."""
        return sum(bytes(each).count(REQUEST) for each in self.received)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer every whole request."""
        came = bytearray()
        self.received.append(came)
        try:
            while data := await reader.read(1000):
                came += data
                if came.endswith(REQUEST):
                    writer.write(REPLY)
        except ConnectionError:
            pass
        writer.close()


@asynccontextmanager
async def between(*mishaps: Mishap) -> AsyncIterator[tuple[FaultProxy, Server]]:
    """Run a server behind a proxy whose exchanges meet these mishaps in order, and none after."""
    server, coming = Server(), iter(mishaps)
    upstream = await asyncio.start_server(server.serve, HOST, 0)
    proxy = FaultProxy(free_port(), upstream.sockets[0].getsockname()[1], lambda: next(coming, CLEAR))
    await proxy.listen()
    try:
        yield proxy, server
    finally:
        await proxy.close()
        upstream.close()


@asynccontextmanager
async def client(proxy: FaultProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_in_clear_weather_exchange_after_exchange_passes_on_one_connection() -> None:
    async with between() as (proxy, server), client(proxy) as (reader, writer):
        for n in (1, 2, 3):
            writer.write(REQUEST)
            assert await reader.readexactly(len(REPLY)) == REPLY
            assert server.whole == n
    assert len(server.received) == 1


@pytest.mark.parametrize("at", [0.0, 0.3, 0.9])
async def test_a_request_breaks_off_with_a_reset(at: float) -> None:
    async with between(Mishap(NetworkFault.RESET_REQUEST, at)) as (proxy, server), client(proxy) as (reader, writer):
        writer.write(REQUEST)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert [bytes(each) for each in server.received] == [REQUEST[: int(at * len(REQUEST))]]


async def test_a_reply_breaks_off_with_a_reset() -> None:
    async with between(Mishap(NetworkFault.RESET_REPLY, 0.5)) as (proxy, server), client(proxy) as (reader, writer):
        writer.write(REQUEST)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(len(REPLY))
        assert server.whole == 1


async def test_a_reply_is_cut_in_good_order() -> None:
    async with between(Mishap(NetworkFault.CUT, 0.5)) as (proxy, server), client(proxy) as (reader, writer):
        writer.write(REQUEST)
        assert await reader.read() == REPLY[: len(REPLY) // 2]
        assert server.whole == 1


@pytest.mark.parametrize(
    ("fault", "arrives"), [(NetworkFault.LOSE_REQUEST, 0), (NetworkFault.LOSE_REPLY, 1), (NetworkFault.DRIP, 1)]
)
async def test_a_black_hole_and_a_drip_leave_the_sender_without_a_whole_reply(
    fault: NetworkFault, arrives: int
) -> None:
    async with between(Mishap(fault)) as (proxy, server), client(proxy) as (reader, writer):
        writer.write(REQUEST)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await reader.readexactly(len(REPLY))
        assert server.whole == arrives


async def test_a_delayed_request_arrives_although_its_sender_has_gone() -> None:
    mishap = Mishap(NetworkFault.DELAY_REQUEST, seconds=SOON_S)
    async with between(mishap) as (proxy, server):
        async with client(proxy) as (_, writer):
            writer.write(REQUEST)
            await writer.drain()

        async def arrived() -> bool:
            return server.whole == 1

        assert not await arrived()
        await until(arrived)


async def test_a_delayed_reply_comes_whole() -> None:
    mishap = Mishap(NetworkFault.DELAY_REPLY, seconds=SOON_S)
    async with between(mishap) as (proxy, _), client(proxy) as (reader, writer):
        started = asyncio.get_running_loop().time()
        writer.write(REQUEST)
        assert await reader.readexactly(len(REPLY)) == REPLY
        assert asyncio.get_running_loop().time() - started >= SOON_S


async def test_a_duplicated_request_arrives_twice_and_is_answered_once() -> None:
    async with between(Mishap(NetworkFault.DUPLICATE)) as (proxy, server), client(proxy) as (reader, writer):
        writer.write(REQUEST)
        assert await reader.readexactly(len(REPLY)) == REPLY

        async def twice() -> bool:
            return server.whole == 2

        await until(twice)
        writer.write(REQUEST)
        assert await reader.readexactly(len(REPLY)) == REPLY


async def test_it_refuses_connections_while_it_is_to_and_accepts_them_again_on_the_same_port() -> None:
    async with between() as (proxy, _):
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, proxy.port)
        await proxy.listen()
        async with client(proxy) as (reader, writer):
            writer.write(REQUEST)
            assert await reader.readexactly(len(REPLY)) == REPLY


def test_the_same_seed_is_the_same_weather_and_every_fault_comes() -> None:
    def drawn() -> Iterator[Mishap]:
        weather = Weather(7, share=0.5)
        return (weather.next() for _ in range(500))

    first = list(drawn())
    assert first == list(drawn())
    assert {each.fault for each in first} == {NetworkFault.NONE, *FAULTS}
    assert 150 < sum(each.fault is not NetworkFault.NONE for each in first) < 350
