"""The codec server returns clear text only to those who may read everything, and every use is in the log."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from google.protobuf import json_format
from structlog.testing import capture_logs
from temporalio.api.common.v1 import Payload, Payloads

from api.app import create_app
from api.codec_server.sessions import COOKIE, SESSION_S, BrowserSessions, CodecServer
from config.payload_keys import FileKeys
from encryption.codec import KEY_ID_FIELD, EncryptionCodec, is_encrypted
from settlement.keys import Role
from tests.api.api_harness import PEPPER, UI_URL, ApiHarness, bearer
from tests.support.payload_keys import ring, secret_of, write_keys

DECODE, ENCODE, SESSION = "/v1/codec/decode", "/v1/codec/encode", "/v1/codec/session"
UI_ORIGIN = UI_URL.removesuffix("/")
CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=b'"Jane Roe"')


@pytest_asyncio.fixture
async def codec_api(api_with_keys: ApiHarness, tmp_path: Path) -> AsyncIterator[ApiHarness]:
    """Yield the app that asks for keys, with a codec server that has the keys k1 and k2, of which k2 is active."""
    keys = FileKeys(write_keys(tmp_path / "payload-keys", "k1", "k2", active="k2"))
    codec = CodecServer(keys, BrowserSessions(PEPPER), UI_URL)
    app = create_app(replace(api_with_keys.app.state.services, codec=codec), codec=codec)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1") as http:
        yield ApiHarness(app, http, api_with_keys.ledger, api_with_keys.temporal)


async def encrypted(key_id: str = "k1") -> Payload:
    (done,) = await EncryptionCodec(ring(key_id)).encode([CLEAR])
    return done


def body_of(*payloads: Payload) -> dict[str, Any]:
    body: dict[str, Any] = json_format.MessageToDict(Payloads(payloads=payloads))
    return body


def payloads_in(answer: httpx2.Response) -> list[Payload]:
    return list(json_format.Parse(answer.text, Payloads()).payloads)


async def test_payloads_of_every_key_are_decoded_and_clear_ones_returned(codec_api: ApiHarness) -> None:
    key = await codec_api.create_key(Role.VIEWER)
    body = body_of(await encrypted("k1"), CLEAR, await encrypted("k2"))
    with capture_logs() as logs:
        answer = await codec_api.http.post(DECODE, json=body, headers=bearer(key) | {"X-Namespace": "default"})
    assert answer.status_code == 200
    assert payloads_in(answer) == [CLEAR] * 3
    assert answer.headers["cache-control"] == "no-store"
    [line] = [each for each in logs if each["event"] == "payloads decoded"]
    assert (line["client"], line["payload_keys"], line["payloads"]) == ("viewer-1", ["k1", "k2"], 3)
    assert line["namespace"] == "default"
    assert "Jane" not in str(logs)


async def test_payloads_are_encoded_with_the_active_key(codec_api: ApiHarness) -> None:
    key = await codec_api.create_key(Role.OPERATOR)
    answer = await codec_api.http.post(ENCODE, json=body_of(CLEAR), headers=bearer(key))
    [done] = payloads_in(answer)
    assert is_encrypted(done)
    assert done.metadata[KEY_ID_FIELD] == b"k2"
    again = await codec_api.http.post(DECODE, json=body_of(done), headers=bearer(key))
    assert payloads_in(again) == [CLEAR]


@pytest.mark.parametrize(
    ("path", "role", "companies", "status"),
    [
        (DECODE, Role.VIEWER, "all", 200),
        (DECODE, Role.OPERATOR, "all", 200),
        (DECODE, Role.VIEWER, (7,), 403),
        (DECODE, Role.OPERATOR, (7,), 403),
        (DECODE, Role.ADMIN, "all", 403),
        (ENCODE, Role.OPERATOR, "all", 200),
        (ENCODE, Role.VIEWER, "all", 403),
        (ENCODE, Role.OPERATOR, (7,), 403),
        (ENCODE, Role.ADMIN, "all", 403),
    ],
)
async def test_roles_and_scopes(codec_api: ApiHarness, path: str, role: Role, companies: Any, status: int) -> None:  # noqa: ANN401 - all or numbers
    key = await codec_api.create_key(role, companies=companies)
    answer = await codec_api.http.post(path, json=body_of(CLEAR), headers=bearer(key))
    assert answer.status_code == status


@pytest.mark.parametrize("path", [DECODE, ENCODE])
async def test_without_a_key_nothing_is_answered(codec_api: ApiHarness, path: str) -> None:
    answer = await codec_api.http.post(path, json=body_of(CLEAR))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_a_payload_that_cannot_be_decrypted_is_an_error_that_names_its_key(codec_api: ApiHarness) -> None:
    key = await codec_api.create_key(Role.VIEWER)
    changed = await encrypted()
    changed.data = changed.data[:-1] + bytes([changed.data[-1] ^ 1])
    for payload, rule in (
        (await encrypted("k9"), "payload of key k9: this process does not have the key"),
        (changed, "payload of key k1: another key has this id here, or the payload was changed"),
    ):
        answer = await codec_api.http.post(DECODE, json=body_of(CLEAR, payload), headers=bearer(key))
        assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": "payloads", "rule": rule}])
        assert "Jane" not in answer.text
        assert secret_of("k1").hex() not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        {"payloads": 1},
        {"other": []},
        {"payloads": [1]},
        *(
            {"payloads": [each]}
            for each in ({"data": "a"}, {"data": 5}, {"metadata": 1}, {"metadata": {"a": 5}}, {"metadata": {"a": "b"}})
        ),
    ],
)
async def test_what_is_no_payload_is_refused_without_an_echo(codec_api: ApiHarness, body: dict[str, Any]) -> None:
    key = await codec_api.create_key(Role.VIEWER)
    answer = await codec_api.http.post(DECODE, json=body, headers=bearer(key))
    assert (answer.status_code, answer.json()["detail"]) == (422, "payloads: must be payloads of Temporal as JSON")


async def test_without_payload_keys_there_is_no_codec_server(api_with_keys: ApiHarness) -> None:
    for path in (DECODE, ENCODE, SESSION):
        answer = await api_with_keys.http.post(path, json=body_of(CLEAR))
        assert answer.status_code == 404


async def test_only_pages_of_the_temporal_ui_may_read_answers_in_a_browser(codec_api: ApiHarness) -> None:
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-namespace"}
    own = await codec_api.http.options(DECODE, headers={"Origin": UI_ORIGIN} | preflight)
    assert own.status_code == 200
    assert own.headers["access-control-allow-origin"] == UI_ORIGIN
    assert own.headers["access-control-allow-credentials"] == "true"
    other = await codec_api.http.options(DECODE, headers={"Origin": "https://evil.example"} | preflight)
    assert "access-control-allow-origin" not in other.headers
    elsewhere = await codec_api.http.get("/healthz", headers={"Origin": UI_ORIGIN})
    assert "access-control-allow-origin" not in elsewhere.headers


async def log_in(api: ApiHarness, key: str, **headers: str) -> httpx2.Response:
    return await api.http.post(SESSION, data={"apiKey": key}, headers=headers)


async def test_a_browser_logs_in_and_reads_from_pages_of_the_ui_only(codec_api: ApiHarness) -> None:
    key = await codec_api.create_key(Role.VIEWER)
    answer = await log_in(codec_api, key)
    assert (answer.status_code, answer.headers["location"]) == (303, UI_URL)
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Path=/v1/codec", "SameSite=strict"} <= set(cookie.split("; "))
    assert key not in cookie
    assert base64.b64encode(key.encode()).decode()[:20] not in cookie

    body, ui = body_of(await encrypted()), {"Origin": UI_ORIGIN}
    assert payloads_in(await codec_api.http.post(DECODE, json=body, headers=ui)) == [CLEAR]
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert (await codec_api.http.post(DECODE, json=body, headers=origin)).status_code == 401
    # A viewer may not send Updates, also not in a browser; and the cookie opens nothing else.
    assert (await codec_api.http.post(ENCODE, json=body, headers=ui)).status_code == 403
    cookies = {"Cookie": f"{COOKIE}={codec_api.http.cookies[COOKIE]}"}
    assert (await codec_api.http.get("/v1/settlements", headers=cookies | ui)).status_code == 401


async def test_a_revoked_key_and_a_log_out_end_the_session(codec_api: ApiHarness) -> None:
    key, ui = await codec_api.create_key(Role.VIEWER), {"Origin": UI_ORIGIN}
    body = body_of(await encrypted())
    await log_in(codec_api, key)
    assert (await codec_api.http.post(DECODE, json=body, headers=ui)).status_code == 200
    cookie = codec_api.http.cookies[COOKIE]
    await codec_api.http.post(f"{SESSION}/end")
    assert (await codec_api.http.post(DECODE, json=body, headers=ui)).status_code == 401
    [listed] = await codec_api.app.state.services.keys.all()
    await codec_api.app.state.services.keys.revoke(listed.key_id, "the test")
    headers = ui | {"Cookie": f"{COOKIE}={cookie}"}
    assert (await codec_api.http.post(DECODE, json=body, headers=headers)).status_code == 401


async def test_the_login_page_may_send_its_form_and_run_nothing(codec_api: ApiHarness) -> None:
    """Security headers of other pages forbid forms."""
    page = await codec_api.http.get(SESSION)
    policy = page.headers["content-security-policy"]
    assert "form-action 'self'" in policy
    assert "script-src" not in policy
    assert policy.startswith("default-src 'none'")
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_a_key_that_may_not_decode_begins_no_session(codec_api: ApiHarness) -> None:
    keys = ["invented", "", await codec_api.create_key(Role.ADMIN), await codec_api.create_key(Role.VIEWER, "c", (7,))]
    for key in keys:
        answer = await log_in(codec_api, key)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_the_form_of_another_site_is_refused(codec_api: ApiHarness) -> None:
    key = await codec_api.create_key(Role.VIEWER)
    answer = await log_in(codec_api, key, origin="https://evil.example")
    assert answer.status_code == 403
    page = await codec_api.http.get(SESSION)
    assert page.status_code == 200
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_a_session_ends_and_cannot_be_forged() -> None:
    now = [1_000_000.0]
    sessions = BrowserSessions(PEPPER, clock=lambda: now[0])
    token = sessions.token("the key")
    assert sessions.api_key(token) == "the key"
    assert BrowserSessions(b"another pepper", clock=lambda: now[0]).api_key(token) is None
    assert [sessions.api_key(each) for each in ("", "x", "é", token[:-4], "A" + token[1:])] == [None] * 5
    now[0] += SESSION_S
    assert sessions.api_key(token) is None
