"""Behind real uvicorn: what sends nothing, half a request or reads nothing does not keep others from being served."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
import pytest_asyncio
from fastapi import FastAPI, Response
from prometheus_client import REGISTRY

from api.http import connections as connections_module
from api.http.connections import Reason, client_of
from config.settings import Settings
from tests.api.doors import SETTLEMENTS, Door
from tests.api.test_api_wire import code
from tests.api.wire import HOST, RawAnswer, exchange, head, read_answer, served
from tests.support.orders import order
from tests.support.polling import until

OTHER = "127.0.0.2"
JSON = "content-type: application/json"
QUICK = Settings(api_receive_timeout_s=1)
PATIENCE_S = 20.0
"""Far above every limit that is set here, far below for ever."""

HALF_HEADER = f"POST {SETTLEMENTS} HTTP/1.1\r\nhost: {HOST}\r\nx-".encode()
HALF_BODY = head("POST", SETTLEMENTS, JSON, "content-length: 400") + b"{"
HALF_CHUNK = head("POST", SETTLEMENTS, JSON, "transfer-encoding: chunked") + b"1000\r\n{"


def closed(reason: Reason) -> float:
    """Return how many connections were closed for a reason so far."""
    return REGISTRY.get_sample_value("settlement_http_connections_closed_total", {"reason": reason.value}) or 0


@pytest_asyncio.fixture
async def port(closed_door: Door) -> AsyncIterator[int]:
    """Yield where the app is served to clients who must hurry."""
    async with served(closed_door.app, QUICK) as chosen:
        yield chosen


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ends(self) -> bytes:
        """Return what still comes until the server closes the connection."""
        with suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), PATIENCE_S)
        return b""


@asynccontextmanager
async def connected(port: int, source: str = HOST) -> AsyncIterator[Client]:
    """Connect from an address of this machine."""
    reader, writer = await asyncio.open_connection(HOST, port, local_addr=(source, 0))
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def drip(client: Client, content: bytes) -> None:
    """Send byte by byte, more often than any limit on silence, for as long as the server takes them."""
    with suppress(ConnectionError):
        for each in content:
            client.writer.write(bytes([each]))
            await client.writer.drain()
            await asyncio.sleep(0.05)


def post(source: str, port: int) -> "asyncio.Task[RawAnswer]":
    """Post an order from an address; without a Temporal it ends as temporal-unavailable, once accepted."""

    async def posted() -> RawAnswer:
        body = json.dumps(order()).encode()
        async with connected(port, source) as client:
            client.writer.write(head("POST", SETTLEMENTS, JSON, f"content-length: {len(body)}") + body)
            return await asyncio.wait_for(read_answer(client.reader), PATIENCE_S)

    return asyncio.create_task(posted())


async def test_a_silent_connection_is_closed_without_an_answer(port: int) -> None:
    before = closed(Reason.SILENT)
    async with connected(port) as client:
        assert await client.ends() == b""
    assert closed(Reason.SILENT) == before + 1


@pytest.mark.parametrize("sent", [b"G", HALF_HEADER], ids=["a letter", "half a header"])
async def test_half_a_header_is_answered_408_and_closed(port: int, sent: bytes) -> None:
    async with connected(port) as client:
        client.writer.write(sent)
        answer = await asyncio.wait_for(read_answer(client.reader), PATIENCE_S)
        assert (answer.status, code(answer), answer.headers["connection"]) == (408, "request-timeout", "close")
        assert await client.ends() == b""


@pytest.mark.parametrize("sent", [HALF_BODY, HALF_CHUNK], ids=["announced", "chunked"])
async def test_half_a_body_is_answered_408_and_nothing_is_accepted(
    port: int, closed_door: Door, sent: bytes, logs: list[MutableMapping[str, Any]]
) -> None:
    async with connected(port) as client:
        client.writer.write(sent)
        answer = await asyncio.wait_for(read_answer(client.reader), PATIENCE_S)
        assert (answer.status, code(answer)) == (408, "request-timeout")
        assert await client.ends() == b""
    assert await closed_door.recorded() == []
    assert [line for line in logs if line["log_level"] == "error"] == []


@pytest.mark.parametrize("beginning", [b"", HALF_HEADER, HALF_BODY, HALF_CHUNK], ids=["all", "header", "body", "chunk"])
async def test_a_dripping_request_gets_no_more_time_than_any_other(port: int, beginning: bytes) -> None:
    async with connected(port) as client:
        client.writer.write(beginning)
        dripping = asyncio.create_task(drip(client, HALF_HEADER + b"x" * 10_000))
        received = await client.ends()
        dripping.cancel()
    assert received == b"" or received.startswith(b"HTTP/1.1 408 ")


async def test_half_a_body_after_the_answer_is_cut_off_too(port: int) -> None:
    """404 and 401 are answered before the body has come; its rest must not keep the connection."""
    before = closed(Reason.BODY)
    async with connected(port) as client:
        client.writer.write(head("POST", "/nowhere", "content-length: 400") + b"{")
        assert (await read_answer(client.reader)).status == 404
        dripping = asyncio.create_task(drip(client, b" " * 300))
        assert await client.ends() == b""
        dripping.cancel()
    assert closed(Reason.BODY) == before + 1


async def test_the_second_request_on_a_connection_has_the_same_limits(port: int) -> None:
    for half in (HALF_HEADER, HALF_BODY):
        async with connected(port) as client:
            client.writer.write(head("GET", "/healthz") + half)
            assert (await read_answer(client.reader)).status == 200
            assert (await read_answer(client.reader)).status == 408
            assert await client.ends() == b""


async def test_pipelined_requests_are_all_answered_in_order(port: int) -> None:
    async with connected(port) as client:
        paths = ["/healthz", "/nowhere", "/healthz", f"{SETTLEMENTS}?limit=0"]
        client.writer.write(b"".join(head("GET", path) for path in paths))
        assert [(await read_answer(client.reader)).status for _ in paths] == [200, 404, 200, 422]


async def test_a_connection_between_two_requests_is_kept(port: int) -> None:
    """It is idle for longer than a header may take."""
    async with connected(port) as client:
        client.writer.write(head("GET", "/healthz"))
        assert (await read_answer(client.reader)).status == 200
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(), 2.5 * QUICK.api_receive_timeout_s)
        client.writer.write(head("GET", "/healthz"))
        assert (await read_answer(client.reader)).status == 200


@pytest.mark.parametrize("sent", [b"not http at all\r\n\r\n", b"GET /\0 HTTP/1.1\r\n\r\n", b"\0" * 100 + b"\r\n\r\n"])
async def test_what_is_not_http_is_a_problem_like_any_other(port: int, sent: bytes) -> None:
    answer = await exchange(port, sent)
    assert (answer.status, code(answer)) == (400, "malformed-request")


async def test_garbage_in_a_body_after_the_answer_ends_the_connection_quietly(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(port) as client:
        client.writer.write(head("POST", "/nowhere", "transfer-encoding: chunked"))
        assert (await read_answer(client.reader)).status == 404
        client.writer.write(b"not a length\r\n")
        assert await client.ends() == b""
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_1100_connections_from_one_address_keep_no_other_out(closed_door: Door) -> None:
    """Not even another caller from the same address: the connection that has waited longest gives way."""
    beginnings = [b"", HALF_HEADER, HALF_BODY, head("GET", "/healthz")]
    async with served(closed_door.app) as port, AsyncExitStack() as held:
        for each in range(1100):
            client = await held.enter_async_context(connected(port))
            client.writer.write(beginnings[each % len(beginnings)])
        for source in (OTHER, HOST):
            answer = await post(source, port)
            assert code(answer) == "temporal-unavailable"
    assert len(await closed_door.recorded()) == 2


async def test_many_addresses_together_keep_no_other_out(closed_door: Door) -> None:
    limits = Settings(api_connections_max=40, api_connections_per_client=10)
    async with served(closed_door.app, limits) as port, AsyncExitStack() as held:
        for each in range(100):
            await held.enter_async_context(connected(port, f"127.0.1.{1 + each % 10}"))
        assert code(await post(OTHER, port)) == "temporal-unavailable"


class WaitingRoom:
    """An app that answers when it is told to."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.go_on = asyncio.Event()
        self.waiting = 0
        self.app.add_api_route("/wait", self.wait)

    async def wait(self) -> Response:
        """Answer."""
        self.waiting += 1
        await self.go_on.wait()
        return Response("done")

    async def holds(self, count: int) -> None:
        """Wait until so many requests are under way."""

        async def full() -> bool:
            return self.waiting == count

        await until(full)


async def test_requests_under_way_are_not_evicted_and_one_more_is_told_to_come_back() -> None:
    room = WaitingRoom()
    limits = Settings(api_connections_max=20, api_connections_per_client=10)
    async with served(room.app, limits) as port, AsyncExitStack() as held:
        clients = [await held.enter_async_context(connected(port)) for _ in range(10)]
        for client in clients:
            client.writer.write(head("GET", "/wait"))
        await room.holds(10)
        refused = await exchange(port, head("GET", "/wait"))
        assert (refused.status, code(refused)) == (503, "too-many-connections")
        assert int(refused.headers["retry-after"]) > 0
        room.go_on.set()
        assert [(await read_answer(client.reader)).content for client in clients] == [b"done"] * 10
        # They are idle now and give way.
        assert (await exchange(port, head("GET", "/wait"))).status == 200


async def test_a_client_that_does_not_read_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    app, sent = FastAPI(), asyncio.Event()

    @app.get("/large")
    async def large() -> Response:
        sent.set()
        return Response(b"x" * 50_000_000)

    monkeypatch.setattr("api.http.protocol.WRITE_STALL_S", 0.5)
    before = closed(Reason.ANSWER_NOT_READ)
    async with served(app, QUICK) as port:
        with socket.create_connection((HOST, port)) as client:
            client.sendall(head("GET", "/large"))
            await asyncio.wait_for(sent.wait(), PATIENCE_S)

            async def counted() -> None:
                while closed(Reason.ANSWER_NOT_READ) == before:
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(counted(), PATIENCE_S)
        assert (await exchange(port, head("GET", "/openapi.json"))).status == 200


async def test_refused_connections_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay for a moment, so that their clients can read why; beyond a number they are cut at once."""
    monkeypatch.setattr(connections_module, "REFUSALS_OPEN_MAX", 2)
    room = WaitingRoom()
    limits = Settings(api_connections_max=10, api_connections_per_client=1)
    async with served(room.app, limits) as port, AsyncExitStack() as held:
        first = await held.enter_async_context(connected(port))
        first.writer.write(head("GET", "/wait"))
        await room.holds(1)
        refused = [await held.enter_async_context(connected(port)) for _ in range(5)]
        answers = [await client.ends() for client in refused]
        room.go_on.set()
    assert sum(answer.startswith(b"HTTP/1.1 503 ") for answer in answers) == 2
    assert answers.count(b"") == 3


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, ""),
    ],
)
def test_whose_connections_count_together(peer: str | None, client: str) -> None:
    assert client_of(peer) == client
