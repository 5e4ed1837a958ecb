"""When it is the proxy that does not answer, the proxy is named, and never its password."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest
import pytest_asyncio

from cli.exits import UsageError
from cli.proxy import proxy_for
from tests.support.cli import settlement
from tests.unit.cli.api_answers import EXPOSURE
from tests.unit.cli.conftest import Script
from tests.unit.cli.scripted_api import json_answer

API = "http://api.example.invalid:8000"
PASSWORD = "a-proxys-password"  # noqa: S105 - of no proxy
WHY = ["--reason", "OTHER", "--note", "n"]
GOOD = EXPOSURE.model_dump_json()


@asynccontextmanager
async def _proxy(answer: bytes | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Run a proxy that answers each request with the same bytes (None: nothing); yield it and what it was sent."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://user:{PASSWORD}@{host}:{port}", seen


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


def _answer(status: str, body: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n"
    return (head + body).encode()


def _shown(url: str) -> str:
    """Return a proxy as it may be shown."""
    return "http://" + url.rpartition("@")[2]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_proxy_that_refuses_connections_is_named(dead_url: str, variable: str) -> None:
    proxy = dead_url.replace("http://", f"http://user:{PASSWORD}@")
    ran = await settlement("retry", "ORD-1", *WHY, url=API, stdin=b"", **{variable: proxy})
    assert ran.code == 3
    assert f"cannot reach the proxy {dead_url} ({variable}) on the way to {API}" in ran.err
    assert "may have been" not in ran.err
    assert PASSWORD not in ran.err


async def test_a_proxy_whose_name_does_not_resolve_is_named() -> None:
    proxy = f"http://user:{PASSWORD}@no-such-proxy.invalid:3128"
    ran = await settlement("exposure", url=API, HTTP_PROXY=proxy)
    assert ran.code == 3
    assert f"cannot reach the proxy {_shown(proxy)} (HTTP_PROXY)" in ran.err
    assert PASSWORD not in ran.err


async def test_a_proxy_that_stays_silent_is_named(stack: AsyncExitStack) -> None:
    proxy, _ = await stack.enter_async_context(_proxy(None))
    ran = await settlement("exposure", "--timeout", "0.3", url=API, HTTP_PROXY=proxy)
    assert (ran.code, ran.err) == (
        3,
        f"error: no answer from {API} through the proxy {_shown(proxy)} (HTTP_PROXY) in time\n",
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway", "504 Gateway Timeout"])
async def test_a_proxy_that_answers_in_the_apis_place_is_named(stack: AsyncExitStack, scheme: str, status: str) -> None:
    proxy, _ = await stack.enter_async_context(_proxy(_answer(status)))
    url = API.replace("http", scheme)
    ran = await settlement("exposure", url=url, stdin=b"", **{f"{scheme.upper()}_PROXY": proxy})
    assert ran.code == 3
    assert f"the proxy {_shown(proxy)} ({scheme.upper()}_PROXY)" in ran.err
    assert status[:3] in ran.err
    assert PASSWORD not in ran.err


async def test_a_proxy_that_refuses_us_has_sent_nothing_on(stack: AsyncExitStack) -> None:
    proxy, seen = await stack.enter_async_context(_proxy(_answer("407 Proxy Authentication Required")))
    ran = await settlement("retry", "ORD-1", *WHY, url=API, HTTP_PROXY=proxy)
    assert (ran.code, len(seen)) == (3, 1)
    assert "may have been" not in ran.err


async def test_a_connection_that_breaks_on_the_way_names_both(stack: AsyncExitStack) -> None:
    proxy, _ = await stack.enter_async_context(_proxy(b""))
    ran = await settlement("exposure", url=API, HTTP_PROXY=proxy)
    assert ran.code == 3
    assert f"the connection to {API} through the proxy {_shown(proxy)} (HTTP_PROXY) broke" in ran.err


async def test_through_a_proxy_that_answers_everything_works(stack: AsyncExitStack) -> None:
    proxy, seen = await stack.enter_async_context(_proxy(_answer("200 OK", GOOD)))
    ran = await settlement("exposure", "--json", url=API, HTTP_PROXY=proxy)
    assert (ran.code, ran.out) == (0, GOOD + "\n")
    assert b"Proxy-Authorization: Basic" in seen[0]


@pytest.mark.parametrize("exempt", ["*", "127.0.0.1", "localhost, 127.0.0.0/8", ".example, 127.0.0.1"])
async def test_no_proxy_is_honoured(scripted: Script, dead_url: str, exempt: str) -> None:
    url, _ = await scripted(json_answer(GOOD))
    ran = await settlement("exposure", url=url, HTTP_PROXY=dead_url, NO_PROXY=exempt)
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize("proxy", [f"socks5://u:{PASSWORD}@x:1", f"http://u:{PASSWORD}@[::1", "ftp://x", "http://"])
async def test_what_is_no_http_proxy_is_wrong_usage_and_names_the_variable(proxy: str) -> None:
    ran = await settlement("exposure", url=API, ALL_PROXY=proxy)
    assert ran.code == 2
    assert "ALL_PROXY" in ran.err
    assert PASSWORD not in ran.err


@pytest.mark.parametrize(
    ("api", "environment", "chosen"),
    [
        ("http://api", {}, None),
        ("http://api", {"HTTP_PROXY": ""}, None),
        ("http://api", {"HTTPS_PROXY": "http://p:1"}, None),
        ("http://api", {"HTTP_PROXY": "p:1"}, "http://p:1 (HTTP_PROXY)"),
        ("http://api", {"HTTP_PROXY": "http://a:1", "http_proxy": "http://b:1"}, "http://b:1 (http_proxy)"),
        ("http://api", {"ALL_PROXY": "http://a:1", "HTTP_PROXY": "http://b:1"}, "http://b:1 (HTTP_PROXY)"),
        ("https://api", {"ALL_PROXY": "http://[::1]:1"}, "http://[::1]:1 (ALL_PROXY)"),
        ("http://api.example", {"HTTP_PROXY": "http://p", "NO_PROXY": "example"}, None),
        ("http://api.example", {"HTTP_PROXY": "http://p", "NO_PROXY": ".example"}, None),
        ("http://apiexample", {"HTTP_PROXY": "http://p", "NO_PROXY": "example"}, "http://p (HTTP_PROXY)"),
        ("http://api:81", {"HTTP_PROXY": "http://p", "NO_PROXY": "api:80"}, "http://p (HTTP_PROXY)"),
        ("http://api:81", {"HTTP_PROXY": "http://p", "no_proxy": "api:81"}, None),
        ("http://[::1]:81", {"HTTP_PROXY": "http://p", "no_proxy": "[::1]"}, None),
        ("http://10.2.3.4", {"HTTP_PROXY": "http://p", "no_proxy": "10.0.0.0/8"}, None),
        ("http://11.2.3.4", {"HTTP_PROXY": "http://p", "no_proxy": "10.0.0.0/8"}, "http://p (HTTP_PROXY)"),
    ],
)
def test_the_proxy_is_chosen_by_scheme_and_exemption(api: str, environment: dict[str, str], chosen: str | None) -> None:
    found = proxy_for(httpx2.URL(api), environment)
    assert (None if found is None else str(found)) == chosen


def test_no_repr_of_a_proxy_shows_its_password() -> None:
    found = proxy_for(httpx2.URL(API), {"HTTP_PROXY": f"http://user:{PASSWORD}@p:1"})
    assert PASSWORD not in f"{found!r}{found}"
    with pytest.raises(UsageError) as refused:
        proxy_for(httpx2.URL(API), {"HTTP_PROXY": f"socks5://user:{PASSWORD}@p:1"})
    assert PASSWORD not in str(refused.value)
