"""One exchange, over real sockets: whatever the endpoint does, it ends in time, and one sentence says what came."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from conformance.connection import RECEIVED_BYTES_MAX, Connection, Endpoint
from conformance.exchange import Exchange, Request, send
from conformance.reading import http_reply
from conformance.target import Target
from stack.ports import free_port
from tests.unit.connector.raw_broker import (
    SUCCESS,
    Answer,
    Peer,
    broker,
    closing_after,
    full_listener,
    reply,
    resetting_after,
    sending,
    silence,
)

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
REQUEST = Request("an adjust", [HEAD + b"{}"], curl="curl …")
LONG_S, SHORT_S = 10.0, 0.2


async def exchange(url: str, limit_s: float = LONG_S, request: Request = REQUEST) -> Exchange:
    """Send one request to a URL."""
    return await send(Target(url).endpoint, request, limit_s=limit_s)


async def exchange_with(answer: Answer, limit_s: float = LONG_S) -> Exchange:
    """Send one request to a broker that answers so."""
    async with broker(answer) as there:
        return await exchange(there.url, limit_s)


async def test_bytes_are_recorded_exactly() -> None:
    came = await exchange_with(sending(reply()))
    assert (came.sent, came.received, came.status, came.failure) == (REQUEST.bytes, reply(), 200, None)
    assert (came.label, came.curl, came.is_lost) == ("an adjust", "curl …", False)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\n\r\nabc"
AFTER_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"abc")


@pytest.mark.parametrize("received", [CHUNKED, UNTIL_CLOSED, AFTER_CONTINUE, reply(b"abc")])
async def test_body_is_read_whatever_says_where_it_ends(received: bytes) -> None:
    came = await exchange_with(closing_after(received))
    assert (came.received, came.status, http_reply(came.received).body) == (received, 200, b"abc")


NEVER = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"


@pytest.mark.parametrize(
    ("answer", "failure", "is_lost"),
    [
        (closing_after(), "connection closed without a reply", True),
        (closing_after(NEVER), "connection closed before the reply was complete", True),
        (closing_after(b"HTTP/1.1 2"), "connection closed before the reply was complete", True),
        (closing_after(b"HTTP/1.1 100 Continue\r\n\r\n"), "connection closed before the reply was complete", True),
        (resetting_after(), "connection reset by the endpoint", True),
        (sending(b"220 mail.example ESMTP\r\n\r\n"), "the reply is not HTTP: ", False),
        (sending(b"\x16\x03\x01\x02\r\n\r\n"), "the reply is not HTTP: ", False),
        (sending(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "the reply is not HTTP: ", False),
    ],
)
async def test_what_is_no_complete_reply(answer: Answer, failure: str, is_lost: bool) -> None:  # noqa: FBT001 - a row
    came = await exchange_with(answer)
    assert (came.status, came.is_lost) == (None, is_lost)
    assert came.failure
    assert came.failure.startswith(failure)


@pytest.mark.parametrize(("answer", "what"), [(silence, "reply"), (sending(NEVER), "complete reply")])
async def test_silence_ends_at_the_limit(answer: Answer, what: str) -> None:
    came = await exchange_with(answer, SHORT_S)
    assert (came.failure, came.sent, came.is_lost) == (f"no {what} within 0.2 s", REQUEST.bytes, False)


async def test_limit_is_for_the_whole_exchange_not_for_each_read() -> None:
    async def dripping(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            await peer.send(b"x")
            await asyncio.sleep(SHORT_S / 10)

    assert (await exchange_with(dripping, SHORT_S)).failure == "no complete reply within 0.2 s"


async def test_endless_reply_is_cut() -> None:
    async def endless(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await peer.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")

    came = await exchange_with(endless)
    assert (came.failure, len(came.received)) == ("the reply is longer than 1048576 bytes", RECEIVED_BYTES_MAX)


async def test_endless_head_is_no_reply() -> None:
    async def endless(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await peer.send(b"X: " + b"x" * 1000 + b"\r\n")

    came = await exchange_with(endless)
    assert (came.failure or "").startswith("the reply is not HTTP: ")


async def test_reply_before_the_end_of_the_request_is_read() -> None:
    """A broker that refuses early closes its side while the request is still being sent."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(status="413 Too Large"))
        await writer.drain()
        writer.write_eof()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        came = await exchange(url, request=Request("pieces", [HEAD, b"{", b"}"], pause_s=0.05))
    assert came.status == 413


async def test_dead_port_and_unknown_name() -> None:
    dead = await exchange(f"http://127.0.0.1:{free_port()}")
    assert (dead.failure, dead.sent, dead.received, dead.is_lost) == ("connection refused", b"", b"", True)
    unknown = await exchange("http://broker.invalid")
    assert (unknown.failure, unknown.is_lost) == ("cannot resolve the name of the host", True)


async def test_connection_that_is_never_accepted() -> None:
    with full_listener() as url:
        came = await exchange(url, SHORT_S)
    assert (came.failure, came.is_lost) == ("cannot connect within 0.2 s", True)


async def test_kept_connection_serves_several_exchanges() -> None:
    async with broker(sending(reply())) as there:
        endpoint = Target(there.url).endpoint
        connection = await Connection.open(endpoint)
        for _ in range(3):
            came = await send(endpoint, REQUEST, limit_s=LONG_S, connection=connection)
            assert (came.status, came.received) == (200, reply())
        await connection.close()
        assert (len(there.requests), there.connections) == (3, 1)


async def test_request_in_pieces_arrives_whole() -> None:
    async with broker(sending(reply())) as there:
        pieces = Request("pieces", [HEAD[:9], HEAD[9:], b"{", b"}"], pause_s=0.01)
        assert (await exchange(there.url, request=pieces)).status == 200
        assert [each.body for each in there.requests] == [b"{}"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority that no operating system trusts."""
    return trustme.CA()


def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return a server's TLS context with this certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


async def test_certificate_is_verified(authority: trustme.CA, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    right, wrong = authority.issue_cert("127.0.0.1"), authority.issue_cert("other.example")
    failures = []
    for certificate, file in ((right, ca_file), (wrong, ca_file), (right, None)):
        async with broker(sending(reply(SUCCESS)), tls=context(certificate)) as there:
            endpoint = Target(there.url, ca_file=file).endpoint
            came = await send(endpoint, REQUEST, limit_s=LONG_S)
            failures.append(came.failure)
            assert len(there.requests) == (came.failure is None)
    assert failures[0] is None
    assert failures[1] == "TLS failed: IP address mismatch, certificate is not valid for '127.0.0.1'."
    assert failures[2] == "TLS failed: unable to get local issuer certificate"


async def test_tls_to_a_port_without_tls() -> None:
    async with broker(sending(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as there:
        secure = Target(there.url.replace("http:", "https:")).endpoint
        assert secure == Endpoint("127.0.0.1", secure.port, secure.tls)
        came = await send(secure, REQUEST, limit_s=SHORT_S)
    assert came.is_lost
