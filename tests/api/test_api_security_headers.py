"""Every answer, whoever gives it, tells browsers and proxies not to store, guess, leak or run anything."""

import re

import httpx2
import pytest

from api.http.security_headers import HEADERS, NOTHING, page_policy
from config.settings import Settings
from tests.api.api_harness import SETTLEMENTS, ApiHarness
from tests.api.sockets import HOST, exchange, head, served
from tests.support.orders import order

ANSWERS = {
    "order while Temporal is down": ("POST", SETTLEMENTS, 503),
    "not found": ("GET", f"{SETTLEMENTS}/none", 404),
    "list": ("GET", SETTLEMENTS, 200),
    "no route": ("GET", "/nothing", 404),
    "wrong method": ("DELETE", SETTLEMENTS, 405),
    "probe": ("GET", "/healthz", 200),
    "metrics": ("GET", "/metrics", 200),
    "description": ("GET", "/openapi.json", 200),
    "asset": ("GET", "/static-offline-docs/swagger-ui.css", 200),
}


def security_headers(answer: httpx2.Response) -> dict[str, str | None]:
    """Return the security headers of an answer."""
    return {name: answer.headers.get(name) for name in HEADERS}


@pytest.mark.parametrize("what", ANSWERS)
async def test_every_answer_has_the_headers(api_without_temporal: ApiHarness, what: str) -> None:
    method, path, status = ANSWERS[what]
    body = order() if method == "POST" else None
    answer = await api_without_temporal.http.request(method, path, json=body)
    assert answer.status_code == status
    assert security_headers(answer) == HEADERS


async def test_refusal_without_a_key_has_the_headers(api_with_keys: ApiHarness) -> None:
    answer = await api_with_keys.http.get(SETTLEMENTS, headers={"authorization": ""})
    assert (answer.status_code, security_headers(answer)) == (401, HEADERS)


async def test_unexpected_error_has_the_headers(
    api_without_temporal: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered outside of every middleware of the application."""

    async def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(api_without_temporal.app.state.readiness, "current", broken)
    transport = httpx2.ASGITransport(api_without_temporal.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, security_headers(answer)) == (500, HEADERS)


async def test_answer_without_a_parsed_request_has_the_headers(api_without_temporal: ApiHarness) -> None:
    """The protocol answers it, not the application; and no header is there twice."""
    async with served(api_without_temporal.app, Settings()) as port:
        for request in (b"nonsense\r\n\r\n", head("GET", "/healthz")):
            answer = await exchange(port, request)
            assert {name: answer.headers.get(name.lower()) for name in HEADERS} == HEADERS, HOST


@pytest.mark.parametrize("path", ["/docs", "/docs/oauth2-redirect"])
async def test_page_may_run_its_own_scripts_and_no_others(api_with_keys: ApiHarness, path: str) -> None:
    answer = await api_with_keys.http.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy == page_policy(answer.content)
    assert {**security_headers(answer), "Content-Security-Policy": NOTHING} == HEADERS
    scripts = re.search(r"script-src ([^;]*);", policy)
    assert scripts
    sources = scripts[1].split()
    inline = len(re.findall(r"<script>", answer.text))
    assert inline >= 1
    assert sources[0] == "'self'"
    assert len(sources) == 1 + inline
    assert not {"'unsafe-inline'", "'unsafe-eval'"} & set(sources)
    assert not re.search(r"\son\w+=", answer.text), "handlers in attributes would not run"
