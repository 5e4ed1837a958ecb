"""Errors of a proxy: the message names the proxy and never contains its password."""

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
from tests.unit.cli.conftest import ServeScript
from tests.unit.cli.scripted_api import json_answer

API = "http://api.example.invalid:8000"
PASSWORD = "a-proxys-password"  # noqa: S105 - not a real password
WHY = ["--reason", "OTHER", "--note", "n"]
GOOD = EXPOSURE.model_dump_json()


@asynccontextmanager
async def _proxy(answer: bytes | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Run a proxy that answers every request with these bytes (None: no answer); yield its URL and its requests."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://user:{PASSWORD}@{host}:{port}", requests


@pytest_asyncio.fixture
async def exit_stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


def _answer(status: str, body: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n"
    return (head + body).encode()


def _shown(url: str) -> str:
    """Return the URL of a proxy without user and password."""
    return "http://" + url.rpartition("@")[2]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_the_error_names_a_proxy_that_refuses_connections(unreachable_url: str, variable: str) -> None:
    proxy = unreachable_url.replace("http://", f"http://user:{PASSWORD}@")
    ran = await settlement("retry", "ORD-1", *WHY, url=API, stdin=b"", **{variable: proxy})
    assert ran.code == 3
    assert f"cannot reach the proxy {unreachable_url} ({variable}) for {API}" in ran.err
    assert "may have been" not in ran.err
    assert PASSWORD not in ran.err


async def test_the_error_names_a_proxy_whose_name_does_not_resolve() -> None:
    proxy = f"http://user:{PASSWORD}@no-such-proxy.invalid:3128"
    ran = await settlement("exposure", url=API, HTTP_PROXY=proxy)
    assert ran.code == 3
    assert f"cannot reach the proxy {_shown(proxy)} (HTTP_PROXY)" in ran.err
    assert PASSWORD not in ran.err


async def test_the_error_names_a_proxy_that_does_not_answer(exit_stack: AsyncExitStack) -> None:
    proxy, _ = await exit_stack.enter_async_context(_proxy(None))
    ran = await settlement("exposure", "--timeout", "0.3", url=API, HTTP_PROXY=proxy)
    assert (ran.code, ran.err) == (
        3,
        f"error: no answer from {API} through the proxy {_shown(proxy)} (HTTP_PROXY) in time\n",
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway", "504 Gateway Timeout"])
async def test_the_error_names_a_proxy_that_answers_instead_of_the_api(
    exit_stack: AsyncExitStack, scheme: str, status: str
) -> None:
    proxy, _ = await exit_stack.enter_async_context(_proxy(_answer(status)))
    url = API.replace("http", scheme)
    ran = await settlement("exposure", url=url, stdin=b"", **{f"{scheme.upper()}_PROXY": proxy})
    assert ran.code == 3
    assert f"the proxy {_shown(proxy)} ({scheme.upper()}_PROXY)" in ran.err
    assert status[:3] in ran.err
    assert PASSWORD not in ran.err


async def test_a_407_of_the_proxy_means_that_nothing_was_sent(exit_stack: AsyncExitStack) -> None:
    proxy, requests = await exit_stack.enter_async_context(_proxy(_answer("407 Proxy Authentication Required")))
    ran = await settlement("retry", "ORD-1", *WHY, url=API, HTTP_PROXY=proxy)
    assert (ran.code, len(requests)) == (3, 1)
    assert "may have been" not in ran.err


async def test_the_error_for_a_broken_connection_names_api_and_proxy(exit_stack: AsyncExitStack) -> None:
    proxy, _ = await exit_stack.enter_async_context(_proxy(b""))
    ran = await settlement("exposure", url=API, HTTP_PROXY=proxy)
    assert ran.code == 3
    assert f"the connection to {API} through the proxy {_shown(proxy)} (HTTP_PROXY) broke" in ran.err


async def test_a_request_through_a_working_proxy_succeeds(exit_stack: AsyncExitStack) -> None:
    proxy, requests = await exit_stack.enter_async_context(_proxy(_answer("200 OK", GOOD)))
    ran = await settlement("exposure", "--json", url=API, HTTP_PROXY=proxy)
    assert (ran.code, ran.out) == (0, GOOD + "\n")
    assert b"Proxy-Authorization: Basic" in requests[0]


@pytest.mark.parametrize("exempt", ["*", "127.0.0.1", "localhost, 127.0.0.0/8", ".example, 127.0.0.1"])
async def test_no_proxy_exempts_the_api(serve_script: ServeScript, unreachable_url: str, exempt: str) -> None:
    url, _ = await serve_script(json_answer(GOOD))
    ran = await settlement("exposure", url=url, HTTP_PROXY=unreachable_url, NO_PROXY=exempt)
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize("proxy", [f"socks5://u:{PASSWORD}@x:1", f"http://u:{PASSWORD}@[::1", "ftp://x", "http://"])
async def test_an_invalid_proxy_is_wrong_usage_and_the_error_names_the_variable(proxy: str) -> None:
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


def test_the_repr_of_a_proxy_does_not_contain_its_password() -> None:
    found = proxy_for(httpx2.URL(API), {"HTTP_PROXY": f"http://user:{PASSWORD}@p:1"})
    assert PASSWORD not in f"{found!r}{found}"
    with pytest.raises(UsageError) as refused:
        proxy_for(httpx2.URL(API), {"HTTP_PROXY": f"socks5://user:{PASSWORD}@p:1"})
    assert PASSWORD not in str(refused.value)
