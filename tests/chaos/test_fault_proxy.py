"""Each fault of the proxy, with a real client and a real server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from stack.ports import free_port
from tests.chaos.fault_proxy import HOST, FaultProxy
from tests.chaos.network_faults import FAULTS, NO_FAULT, NetworkFault, NetworkFaults, PlannedFault
from tests.support.polling import until

REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n0123456789"
REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabcdefghij"
SOON_S = 0.3


@dataclass
class Server:
    """A server that records the received bytes by connection."""

    received: list[bytearray] = field(default_factory=list)

    @property
    def whole(self) -> int:
        """Number of complete requests."""
        return sum(bytes(each).count(REQUEST) for each in self.received)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reply to every complete request."""
        received = bytearray()
        self.received.append(received)
        try:
            while data := await reader.read(1000):
                received += data
                if received.endswith(REQUEST):
                    writer.write(REPLY)
        except ConnectionError:
            pass
        writer.close()


@asynccontextmanager
async def between(*planned: PlannedFault) -> AsyncIterator[tuple[FaultProxy, Server]]:
    """Run a server behind a proxy with these faults, in order, and none after them."""
    server, faults = Server(), iter(planned)
    upstream = await asyncio.start_server(server.serve, HOST, 0)
    proxy = FaultProxy(free_port(), upstream.sockets[0].getsockname()[1], lambda: next(faults, NO_FAULT))
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


async def test_without_faults_exchanges_pass_on_one_connection() -> None:
    async with between() as (proxy, server), client(proxy) as (reader, writer):
        for n in (1, 2, 3):
            writer.write(REQUEST)
            assert await reader.readexactly(len(REPLY)) == REPLY
            assert server.whole == n
    assert len(server.received) == 1


@pytest.mark.parametrize("at", [0.0, 0.3, 0.9])
async def test_a_request_is_cut_with_a_reset(at: float) -> None:
    async with (
        between(PlannedFault(NetworkFault.RESET_REQUEST, at)) as (proxy, server),
        client(proxy) as (reader, writer),
    ):
        writer.write(REQUEST)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert [bytes(each) for each in server.received] == [REQUEST[: int(at * len(REQUEST))]]


async def test_a_reply_is_cut_with_a_reset() -> None:
    async with (
        between(PlannedFault(NetworkFault.RESET_REPLY, 0.5)) as (proxy, server),
        client(proxy) as (reader, writer),
    ):
        writer.write(REQUEST)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(len(REPLY))
        assert server.whole == 1


async def test_a_reply_is_cut_with_a_normal_close() -> None:
    async with between(PlannedFault(NetworkFault.CUT, 0.5)) as (proxy, server), client(proxy) as (reader, writer):
        writer.write(REQUEST)
        assert await reader.read() == REPLY[: len(REPLY) // 2]
        assert server.whole == 1


@pytest.mark.parametrize(
    ("fault", "arrives"), [(NetworkFault.LOSE_REQUEST, 0), (NetworkFault.LOSE_REPLY, 1), (NetworkFault.DRIP, 1)]
)
async def test_a_lost_message_and_a_dripping_reply_leave_the_sender_without_a_complete_reply(
    fault: NetworkFault, arrives: int
) -> None:
    async with between(PlannedFault(fault)) as (proxy, server), client(proxy) as (reader, writer):
        writer.write(REQUEST)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await reader.readexactly(len(REPLY))
        assert server.whole == arrives


async def test_a_delayed_request_arrives_although_its_sender_has_disconnected() -> None:
    planned = PlannedFault(NetworkFault.DELAY_REQUEST, seconds=SOON_S)
    async with between(planned) as (proxy, server):
        async with client(proxy) as (_, writer):
            writer.write(REQUEST)
            await writer.drain()

        async def arrived() -> bool:
            return server.whole == 1

        assert not await arrived()
        await until(arrived)


async def test_a_delayed_reply_arrives_complete() -> None:
    planned = PlannedFault(NetworkFault.DELAY_REPLY, seconds=SOON_S)
    async with between(planned) as (proxy, _), client(proxy) as (reader, writer):
        started = asyncio.get_running_loop().time()
        writer.write(REQUEST)
        assert await reader.readexactly(len(REPLY)) == REPLY
        assert asyncio.get_running_loop().time() - started >= SOON_S


async def test_a_duplicated_request_arrives_twice_and_is_answered_once() -> None:
    async with between(PlannedFault(NetworkFault.DUPLICATE)) as (proxy, server), client(proxy) as (reader, writer):
        writer.write(REQUEST)
        assert await reader.readexactly(len(REPLY)) == REPLY

        async def twice() -> bool:
            return server.whole == 2

        await until(twice)
        writer.write(REQUEST)
        assert await reader.readexactly(len(REPLY)) == REPLY


async def test_it_refuses_connections_and_accepts_them_again_on_the_same_port() -> None:
    async with between() as (proxy, _):
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, proxy.port)
        await proxy.listen()
        async with client(proxy) as (reader, writer):
            writer.write(REQUEST)
            assert await reader.readexactly(len(REPLY)) == REPLY


def test_the_same_seed_draws_the_same_faults_and_all_of_them() -> None:
    def drawn() -> Iterator[PlannedFault]:
        network = NetworkFaults(7, share=0.5)
        return (network.next() for _ in range(500))

    first = list(drawn())
    assert first == list(drawn())
    assert {each.fault for each in first} == {NetworkFault.NONE, *FAULTS}
    assert 150 < sum(each.fault is not NetworkFault.NONE for each in first) < 350
