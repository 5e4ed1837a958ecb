"""Connections that break or are never established: a request is sent at most once, and the outcome is correct."""

import asyncio
import socket

import pytest

from connector import ExternalSystem, ExternalSystemConfig
from settlement.calls import Rule
from settlement.states import Outcome
from tests.unit.connector.raw_broker import (
    SHORT_CONNECT_DEADLINE,
    SHORT_REPLY_DEADLINE,
    SUCCESS,
    Answer,
    Peer,
    adjust,
    broker,
    closing_after,
    full_listener,
    reply,
    resetting_after,
    sending,
    silence,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

BROKEN: dict[str, Answer] = {
    "reset before the reply": resetting_after(),
    "closed before the reply": closing_after(),
    "reset within the head": resetting_after(HEAD),
    "closed within the head": closing_after(HEAD),
    "reset within the body": resetting_after(reply()[:-5]),
    "closed within the body": closing_after(reply()[:-5]),
    "closed before the body": closing_after(HEAD + b"Content-Length: 35\r\n\r\n"),
    "body longer than it says": closing_after(HEAD + b"Content-Length: 12\r\n\r\n" + SUCCESS),
    "closed before the last chunk": closing_after(CHUNKED + b"23\r\n" + SUCCESS + b"\r\n"),
    "closed within a chunk": closing_after(CHUNKED + b"24\r\n" + SUCCESS),
    "closed after an interim reply": closing_after(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "no HTTP": closing_after(b"220 mail.example ESMTP\r\n\r\n"),
    "TLS alert": closing_after(b"\x15\x03\x01\x00\x02\x02\x28"),
    "length that is not a number": closing_after(HEAD + b"Content-Length: x\r\n\r\n" + SUCCESS),
    "negative length": closing_after(HEAD + b"Content-Length: -1\r\n\r\n" + SUCCESS),
    "two lengths": closing_after(HEAD + b"Content-Length: 35\r\nContent-Length: 12\r\n\r\n" + SUCCESS),
    "length and chunks": closing_after(HEAD + b"Content-Length: 35\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunk size that is not a number": closing_after(CHUNKED + b"xyz\r\n" + SUCCESS),
    "NUL in a header": closing_after(HEAD + b"X\x00: 1\r\n\r\n"),
    "header without an end": sending(HEAD + b"X: " + b"x" * 20_000),
    "a thousand headers": closing_after(HEAD + b"X: y\r\n" * 1000 + b"\r\n"),
}

ACCEPTABLE: dict[str, bytes] = {
    "HTTP/1.0 to the end of the connection": b"HTTP/1.0 200 OK\r\n\r\n" + SUCCESS,
    "HTTP/1.1 to the end of the connection": HEAD + b"\r\n" + SUCCESS,
    "chunks": CHUNKED + b"3\r\n" + SUCCESS[:3] + b"\r\n20\r\n" + SUCCESS[3:] + b"\r\n0\r\n\r\n",
    "chunks with a trailer": CHUNKED + b"23\r\n" + SUCCESS + b"\r\n0\r\nX-Sum: 1\r\n\r\n",
    "interim reply first": b"HTTP/1.1 102 Processing\r\n\r\n" + reply(),
    "no reason": HEAD.replace(b" OK", b"") + b"Content-Length: 35\r\n\r\n" + SUCCESS,
    "another content type": reply(SUCCESS, "Content-Type: text/html; charset=utf-16"),
    "broken cookie": reply(SUCCESS, "Set-Cookie: ;;=\x01"),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_connection_that_breaks_after_sending_is_unknown(answer: Answer) -> None:
    """The broker has the request and may have carried it out: it is UNKNOWN, and it is not sent again."""
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        verdict = await adjust(system)
        assert len(there.requests) == 1
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONNECTION_BROKEN)
    assert verdict.http_status is None


async def test_invalid_chunk_in_the_body_is_unknown() -> None:
    """The rule may differ: the client's parser may notice at once or only the deadline may end the call."""

    async def answer(peer: Peer) -> None:
        await peer.send(CHUNKED + b"23\r\n" + SUCCESS)
        await peer.send(b"\r\nnot a size\r\n")
        peer.close()

    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert (await adjust(system, SHORT_REPLY_DEADLINE)).outcome is Outcome.UNKNOWN
        assert len(there.requests) == 1


@pytest.mark.parametrize("sent", ACCEPTABLE.values(), ids=ACCEPTABLE)
async def test_every_correct_form_of_a_reply_is_accepted(sent: bytes) -> None:
    async with broker(closing_after(sent)) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert (await adjust(system)).outcome is Outcome.APPLIED


async def test_refused_connection_is_not_sent() -> None:
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound_but_not_listening.getsockname()[1]}"
        async with ExternalSystem(ExternalSystemConfig(url)) as system:
            verdict = await adjust(system)
    assert (verdict.outcome, verdict.rule) == (Outcome.NOT_SENT, Rule.NOT_CONNECTED)


async def test_connection_that_is_never_established_is_not_sent() -> None:
    """The connect deadline ends the call; the deadline of the reply has not started."""
    loop = asyncio.get_running_loop()
    with full_listener() as url:
        async with ExternalSystem(ExternalSystemConfig(url)) as system:
            begun = loop.time()
            verdict = await adjust(system, SHORT_CONNECT_DEADLINE)
            lasted = loop.time() - begun
    assert (verdict.outcome, verdict.rule) == (Outcome.NOT_SENT, Rule.NOT_CONNECTED)
    assert verdict.detail == "no connection within 0.3 s"
    assert 0.29 <= lasted < 6


async def test_call_that_gets_no_free_connection_is_not_sent() -> None:
    """If every connection is in use, the broker does not receive the call."""
    reached = asyncio.Event()

    async def answer(peer: Peer) -> None:
        reached.set()
        await silence(peer)

    async with broker(answer) as there:
        config = ExternalSystemConfig(there.url, connections_max=1)
        async with ExternalSystem(config) as system, asyncio.TaskGroup() as calls:
            first = calls.create_task(adjust(system))
            await reached.wait()
            assert (await adjust(system, SHORT_CONNECT_DEADLINE)).outcome is Outcome.NOT_SENT
            assert len(there.requests) == 1
            first.cancel()


@pytest.mark.parametrize("url", ["http://", "ftp://127.0.0.1", "nonsense"])
async def test_call_to_an_invalid_address_is_not_sent(url: str) -> None:
    async with ExternalSystem(ExternalSystemConfig(url)) as system:
        assert (await adjust(system)).outcome is Outcome.NOT_SENT


async def test_description_of_a_failure_does_not_contain_the_address() -> None:
    """A base URL may contain a secret; the audit shows only the type of the error and the system's text."""
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        refused = f"http://user:hunter2@127.0.0.1:{bound_but_not_listening.getsockname()[1]}/secret"
        details = []
        for url in (refused, "hunter2/secret", "ftp://user:hunter2@127.0.0.1/secret"):
            async with ExternalSystem(ExternalSystemConfig(url)) as system:
                details.append((await adjust(system)).detail)
    kinds = [detail.partition(":")[0] for detail in details]
    assert kinds == ["ClientConnectorError", "InvalidUrlClientError", "NonHttpUrlClientError"]
    assert not [detail for detail in details if "hunter2" in detail or "secret" in detail]
