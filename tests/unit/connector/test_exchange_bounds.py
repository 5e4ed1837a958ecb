"""Replies are bounded, and their instructions are ignored: size, redirects, compression, cookies, proxies."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from connector import ExternalSystem, ExternalSystemConfig
from connector.exchange import REPLY_BYTES_MAX, Reply, exchange, progress_hooks
from settlement.calls import Rule
from settlement.states import Outcome
from tests.unit.connector.raw_broker import (
    LONG_DEADLINES,
    SUCCESS,
    Peer,
    adjust,
    broker,
    closing_after,
    in_turn,
    reply,
    sending,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BLOCK = b" " * 65536


def padded(size: int) -> bytes:
    """Return a successful reply of exactly `size` bytes."""
    return SUCCESS + b" " * (size - len(SUCCESS))


def chunk(body: bytes) -> bytes:
    """Return a body as one chunk and the final chunk."""
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


Form = Callable[[bytes], bytes]
FORMS: dict[str, Form] = {
    "of known length": reply,
    "in one chunk": lambda body: CHUNKED + chunk(body),
    "to the end of the connection": lambda body: b"HTTP/1.0 200 OK\r\n\r\n" + body,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_reply_of_the_largest_size_is_read(form: Form) -> None:
    answer = closing_after(form(padded(REPLY_BYTES_MAX)))
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert (await adjust(system)).outcome is Outcome.APPLIED


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_reply_one_byte_larger_is_oversized(form: Form) -> None:
    answer = closing_after(form(padded(REPLY_BYTES_MAX + 1)))
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        verdict = await adjust(system)
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.OVERSIZED)
    assert verdict.detail == f"reply larger than {REPLY_BYTES_MAX} bytes"


async def test_endless_reply_is_abandoned_at_the_limit() -> None:
    """The call ends at once and the connection is closed; only data in buffers was received."""
    gone = asyncio.Event()
    sent = 0

    async def flood(peer: Peer) -> None:
        nonlocal sent
        try:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
            while True:
                await peer.send(BLOCK)
                sent += len(BLOCK)
        except OSError:
            gone.set()

    async with broker(flood) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        verdict = await adjust(system)
        async with asyncio.timeout(10):
            await gone.wait()
        assert len(there.requests) == 1
    assert verdict.rule is Rule.OVERSIZED
    assert sent < 64 * 1024 * 1024


async def test_no_more_than_the_limit_is_returned() -> None:
    answer = closing_after(b"HTTP/1.0 200 OK\r\n\r\n" + padded(3 * REPLY_BYTES_MAX))
    async with broker(answer) as there, aiohttp.ClientSession(trace_configs=[progress_hooks()]) as session:
        result = await exchange(session, URL(there.url), {}, b"{}", LONG_DEADLINES)
    assert result == Reply(200, padded(REPLY_BYTES_MAX), oversized=True)


async def test_size_of_an_error_page_does_not_hide_its_status() -> None:
    answer = closing_after(reply(padded(REPLY_BYTES_MAX + 1), status="502 Bad Gateway"))
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        verdict = await adjust(system)
    assert (verdict.outcome, verdict.rule, verdict.http_status) == (Outcome.UNKNOWN, Rule.HTTP_STATUS, 502)


@pytest.mark.parametrize("status", ["300 Choices", "301 Moved", "302 Found", "303 Other", "307 Temp", "308 Perm"])
async def test_redirect_is_not_followed(status: str) -> None:
    """An order must not be sent to an address or path that is not configured."""
    async with broker(sending(reply())) as elsewhere:
        for location in (f"{elsewhere.url}/", "/again", "//127.0.0.1/"):
            answer = sending(reply(SUCCESS, f"Location: {location}", status=status))
            async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
                verdict = await adjust(system)
                assert len(there.requests) == 1
            assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.HTTP_STATUS)
            assert verdict.http_status == int(status[:3])
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "status", ["401 Unauthorized", "407 Proxy", "421 Misdirected", "425 Early", "429 Many", "503 X"]
)
async def test_no_status_makes_the_client_send_again(status: str) -> None:
    headers = ("Retry-After: 0", 'WWW-Authenticate: Basic realm="x"', 'Proxy-Authenticate: Basic realm="x"')
    answer = sending(reply(SUCCESS, *headers, status=status))
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert (await adjust(system)).rule is Rule.HTTP_STATUS
        assert len(there.requests) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity"])
async def test_compressed_reply_is_not_decompressed(encoding: str) -> None:
    """A few bytes could expand without limit. Compression is not requested, and a compressed body is read as it is."""
    packed = b"\x1f\x8b\x08\x00" + b"\x00" * 16
    for body, outcome in ((packed, Outcome.UNKNOWN), (SUCCESS, Outcome.APPLIED)):
        answer = sending(reply(body, f"Content-Encoding: {encoding}"))
        async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
            assert (await adjust(system)).outcome is outcome
            assert there.requests[0].headers["Accept-Encoding"] == "identity"


async def test_cookies_are_not_kept() -> None:
    """Calls of different customers share the client."""
    answer = in_turn(sending(reply(SUCCESS, "Set-Cookie: session=1; Path=/")), sending(reply()))
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        for _ in range(3):
            await adjust(system)
        assert len(there.requests) == 3
        assert not any("cookie" in map(str.lower, request.headers) for request in there.requests)


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the configuration decides where orders are sent."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with broker(sending(reply())) as there, broker(sending(reply())) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        async with ExternalSystem(ExternalSystemConfig(there.url)) as system:
            assert (await adjust(system)).outcome is Outcome.APPLIED
        assert (len(there.requests), proxy.connections) == (1, 0)


async def test_credentials_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with broker(sending(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        await adjust(system)
        assert "Authorization" not in there.requests[0].headers
