"""Behind real uvicorn: clients that send nothing or half a request, or do not read, do not block other clients."""

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
from tests.api.api_harness import SETTLEMENTS, ApiHarness
from tests.api.sockets import HOST, RawResponse, exchange, head, read_response, served
from tests.api.test_api_request_bodies import code
from tests.support.orders import order
from tests.support.polling import until

OTHER = "127.0.0.2"
JSON = "content-type: application/json"
QUICK = Settings(api_receive_timeout_s=1)
RESPONSE_LIMIT_S = 20.0
"""Far above every limit that is set here."""

HALF_HEADER = f"POST {SETTLEMENTS} HTTP/1.1\r\nhost: {HOST}\r\nx-".encode()
HALF_BODY = head("POST", SETTLEMENTS, JSON, "content-length: 400") + b"{"
HALF_CHUNK = head("POST", SETTLEMENTS, JSON, "transfer-encoding: chunked") + b"1000\r\n{"


def closed(reason: Reason) -> float:
    """Return how many connections were closed for this reason so far."""
    return REGISTRY.get_sample_value("settlement_http_connections_closed_total", {"reason": reason.value}) or 0


@pytest_asyncio.fixture
async def port(api_without_temporal: ApiHarness) -> AsyncIterator[int]:
    """Yield the port of an app with short time limits."""
    async with served(api_without_temporal.app, QUICK) as chosen:
        yield chosen


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ends(self) -> bytes:
        """Return the data until the server closes the connection."""
        with suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), RESPONSE_LIMIT_S)
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
    """Send byte by byte, with pauses below every time limit, until the server closes the connection."""
    with suppress(ConnectionError):
        for each in content:
            client.writer.write(bytes([each]))
            await client.writer.drain()
            await asyncio.sleep(0.05)


def post(source: str, port: int) -> "asyncio.Task[RawResponse]":
    """Post an order from an address. If it is accepted, the response is temporal-unavailable."""

    async def posted() -> RawResponse:
        body = json.dumps(order()).encode()
        async with connected(port, source) as client:
            client.writer.write(head("POST", SETTLEMENTS, JSON, f"content-length: {len(body)}") + body)
            return await asyncio.wait_for(read_response(client.reader), RESPONSE_LIMIT_S)

    return asyncio.create_task(posted())


async def test_a_connection_without_a_request_is_closed_without_a_response(port: int) -> None:
    before = closed(Reason.SILENT)
    async with connected(port) as client:
        assert await client.ends() == b""
    assert closed(Reason.SILENT) == before + 1


@pytest.mark.parametrize("sent", [b"G", HALF_HEADER], ids=["a letter", "half a header"])
async def test_half_a_header_gets_408_and_is_closed(port: int, sent: bytes) -> None:
    async with connected(port) as client:
        client.writer.write(sent)
        answer = await asyncio.wait_for(read_response(client.reader), RESPONSE_LIMIT_S)
        assert (answer.status, code(answer), answer.headers["connection"]) == (408, "request-timeout", "close")
        assert await client.ends() == b""


@pytest.mark.parametrize("sent", [HALF_BODY, HALF_CHUNK], ids=["announced", "chunked"])
async def test_half_a_body_gets_408_and_nothing_is_accepted(
    port: int, api_without_temporal: ApiHarness, sent: bytes, logs: list[MutableMapping[str, Any]]
) -> None:
    async with connected(port) as client:
        client.writer.write(sent)
        answer = await asyncio.wait_for(read_response(client.reader), RESPONSE_LIMIT_S)
        assert (answer.status, code(answer)) == (408, "request-timeout")
        assert await client.ends() == b""
    assert await api_without_temporal.accepted_numbers() == []
    assert [line for line in logs if line["log_level"] == "error"] == []


@pytest.mark.parametrize("beginning", [b"", HALF_HEADER, HALF_BODY, HALF_CHUNK], ids=["all", "header", "body", "chunk"])
async def test_a_request_sent_byte_by_byte_gets_no_extra_time(port: int, beginning: bytes) -> None:
    async with connected(port) as client:
        client.writer.write(beginning)
        dripping = asyncio.create_task(drip(client, HALF_HEADER + b"x" * 10_000))
        received = await client.ends()
        dripping.cancel()
    assert received == b"" or received.startswith(b"HTTP/1.1 408 ")


async def test_half_a_body_after_the_response_is_closed_in_time(port: int) -> None:
    """A 404 is sent before the body has arrived; the rest of the body must not keep the connection open."""
    before = closed(Reason.BODY)
    async with connected(port) as client:
        client.writer.write(head("POST", "/nowhere", "content-length: 400") + b"{")
        assert (await read_response(client.reader)).status == 404
        dripping = asyncio.create_task(drip(client, b" " * 300))
        assert await client.ends() == b""
        dripping.cancel()
    assert closed(Reason.BODY) == before + 1


async def test_the_second_request_on_a_connection_has_the_same_limits(port: int) -> None:
    for half in (HALF_HEADER, HALF_BODY):
        async with connected(port) as client:
            client.writer.write(head("GET", "/healthz") + half)
            assert (await read_response(client.reader)).status == 200
            assert (await read_response(client.reader)).status == 408
            assert await client.ends() == b""


async def test_pipelined_requests_are_all_answered_in_order(port: int) -> None:
    async with connected(port) as client:
        paths = ["/healthz", "/nowhere", "/healthz", f"{SETTLEMENTS}?limit=0"]
        client.writer.write(b"".join(head("GET", path) for path in paths))
        assert [(await read_response(client.reader)).status for _ in paths] == [200, 404, 200, 422]


async def test_a_connection_between_two_requests_is_kept(port: int) -> None:
    """It may be idle for longer than a header may take."""
    async with connected(port) as client:
        client.writer.write(head("GET", "/healthz"))
        assert (await read_response(client.reader)).status == 200
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(), 2.5 * QUICK.api_receive_timeout_s)
        client.writer.write(head("GET", "/healthz"))
        assert (await read_response(client.reader)).status == 200


@pytest.mark.parametrize("sent", [b"not http at all\r\n\r\n", b"GET /\0 HTTP/1.1\r\n\r\n", b"\0" * 100 + b"\r\n\r\n"])
async def test_a_request_that_is_not_http_gets_a_problem(port: int, sent: bytes) -> None:
    answer = await exchange(port, sent)
    assert (answer.status, code(answer)) == (400, "malformed-request")


async def test_an_invalid_body_after_the_response_closes_the_connection_without_an_error_log(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(port) as client:
        client.writer.write(head("POST", "/nowhere", "transfer-encoding: chunked"))
        assert (await read_response(client.reader)).status == 404
        client.writer.write(b"not a length\r\n")
        assert await client.ends() == b""
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_1100_connections_from_one_address_do_not_block_other_clients(api_without_temporal: ApiHarness) -> None:
    """Not even a client with the same address: the connection that has been idle longest is evicted."""
    beginnings = [b"", HALF_HEADER, HALF_BODY, head("GET", "/healthz")]
    async with served(api_without_temporal.app) as port, AsyncExitStack() as held:
        for each in range(1100):
            client = await held.enter_async_context(connected(port))
            client.writer.write(beginnings[each % len(beginnings)])
        for source in (OTHER, HOST):
            answer = await post(source, port)
            assert code(answer) == "temporal-unavailable"
    assert len(await api_without_temporal.accepted_numbers()) == 2


async def test_many_addresses_do_not_block_another_client(api_without_temporal: ApiHarness) -> None:
    limits = Settings(api_connections_max=40, api_connections_per_client=10)
    async with served(api_without_temporal.app, limits) as port, AsyncExitStack() as held:
        for each in range(100):
            await held.enter_async_context(connected(port, f"127.0.1.{1 + each % 10}"))
        assert code(await post(OTHER, port)) == "temporal-unavailable"


class HeldResponses:
    """An app that responds when the test releases it."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.released = asyncio.Event()
        self.waiting = 0
        self.app.add_api_route("/wait", self.wait)

    async def wait(self) -> Response:
        """Respond after the release."""
        self.waiting += 1
        await self.released.wait()
        return Response("done")

    async def holds(self, count: int) -> None:
        """Wait until `count` requests are in progress."""

        async def full() -> bool:
            return self.waiting == count

        await until(full)


async def test_requests_in_progress_are_not_evicted_and_one_more_gets_503() -> None:
    room = HeldResponses()
    limits = Settings(api_connections_max=20, api_connections_per_client=10)
    async with served(room.app, limits) as port, AsyncExitStack() as held:
        clients = [await held.enter_async_context(connected(port)) for _ in range(10)]
        for client in clients:
            client.writer.write(head("GET", "/wait"))
        await room.holds(10)
        refused = await exchange(port, head("GET", "/wait"))
        assert (refused.status, code(refused)) == (503, "too-many-connections")
        assert int(refused.headers["retry-after"]) > 0
        room.released.set()
        assert [(await read_response(client.reader)).content for client in clients] == [b"done"] * 10
        # They are idle now, so one of them is evicted.
        assert (await exchange(port, head("GET", "/wait"))).status == 200


async def test_a_connection_whose_client_does_not_read_its_response_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
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
            await asyncio.wait_for(sent.wait(), RESPONSE_LIMIT_S)

            async def counted() -> None:
                while closed(Reason.ANSWER_NOT_READ) == before:
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(counted(), RESPONSE_LIMIT_S)
        assert (await exchange(port, head("GET", "/openapi.json"))).status == 200


async def test_the_number_of_refused_open_connections_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay open briefly, so that their clients can read the reason. Above a limit they are aborted at once."""
    monkeypatch.setattr(connections_module, "REFUSALS_OPEN_MAX", 2)
    room = HeldResponses()
    limits = Settings(api_connections_max=10, api_connections_per_client=1)
    async with served(room.app, limits) as port, AsyncExitStack() as held:
        first = await held.enter_async_context(connected(port))
        first.writer.write(head("GET", "/wait"))
        await room.holds(1)
        refused = [await held.enter_async_context(connected(port)) for _ in range(5)]
        answers = [await client.ends() for client in refused]
        room.released.set()
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
def test_the_client_of_a_connection_is_an_address_or_an_ipv6_network(peer: str | None, client: str) -> None:
    assert client_of(peer) == client
