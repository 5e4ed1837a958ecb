"""Authorization comes first: a caller without permission learns nothing of the other rules."""

import json
from pathlib import Path

import pytest
from temporalio.client import Client

from ledger import open_engine
from settlement.keys import Role
from tests.api.api_harness import SETTLEMENTS, WITH_KEYS, ApiHarness, bearer, open_api
from tests.api.route_permissions import FORGED_KEY, NAMES, PROTECTED_ROUTES, UNISSUED_KEY, request_route
from tests.api.sockets import chunk, exchange, head, served
from tests.support.ledgers import FlakyLedger
from tests.support.orders import order

JSON = {"content-type": "application/json"}
POSTS = [route for route in PROTECTED_ROUTES if route[0] == "POST"]
BODIES: dict[str, tuple[dict[str, str], bytes]] = {
    "valid": (JSON, json.dumps(order()).encode()),
    "empty": (JSON, b""),
    "not JSON": (JSON, b"{"),
    "a name twice": (JSON, b'{"amount":"1","amount":"2"}'),
    "wrong fields": (JSON, b'{"x":1}'),
    "no UTF-8": (JSON, b"\xff"),
    "another media type": ({"content-type": "text/plain"}, b"{}"),
    "too large": (JSON, b" " * 100_000),
}


@pytest.mark.parametrize("path", sorted({path for _, path in POSTS}))
async def test_a_rejection_does_not_depend_on_the_body(api_with_keys: ApiHarness, path: str) -> None:
    """Without a key the response is 401, and with a key without permission 403, whatever the body is."""
    # A key without permission: an admin moves no money, and a viewer creates no keys.
    no_permission = await api_with_keys.create_key(Role.VIEWER if "api-keys" in path else Role.ADMIN)
    for authorization, status in (({}, 401), (bearer(FORGED_KEY), 401), (bearer(no_permission), 403)):
        answers = []
        for number in ("N-1", "%00", "N" * 60):
            where = path.replace("{requestUniqueNo}", number).replace("{keyId}", number)
            answers += [
                await api_with_keys.http.post(where, content=content, headers=headers | authorization)
                for headers, content in BODIES.values()
            ]
        assert {answer.status_code for answer in answers} == {status}
        assert len({answer.content for answer in answers}) == 1


async def test_authorization_comes_before_query_path_and_headers(api_with_keys: ApiHarness) -> None:
    for path in (f"{SETTLEMENTS}?limit=0&nonsense=1", f"{SETTLEMENTS}/%00", f"{SETTLEMENTS}/unknown"):
        assert (await api_with_keys.http.get(path)).status_code == 401
    answer = await api_with_keys.post(order(), companyId="not a number", trace="")
    assert answer.status_code == 401


async def test_a_rejection_does_not_wait_for_the_body(api_with_keys: ApiHarness) -> None:
    """Over a socket: the response does not wait for the announced body, however large it is."""
    async with served(api_with_keys.app) as port:
        for length in (10, 10**9):
            answer = await exchange(port, head("POST", SETTLEMENTS, f"content-length: {length}"))
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        parts = [head("POST", SETTLEMENTS, "transfer-encoding: chunked"), chunk(b" " * 4096)]
        assert (await exchange(port, *parts)).status == 401


async def test_with_a_key_the_other_rules_apply(api_with_keys: ApiHarness) -> None:
    headers = bearer(await api_with_keys.create_key(Role.PLATFORM))
    statuses = {
        name: (await api_with_keys.http.post(SETTLEMENTS, content=content, headers=sent | headers)).status_code
        for name, (sent, content) in BODIES.items()
    }
    # 503: accepted, but there is no Temporal here.
    assert statuses == {
        "valid": 503,
        "empty": 422,
        "not JSON": 400,
        "a name twice": 400,
        "wrong fields": 422,
        "no UTF-8": 400,
        "another media type": 415,
        "too large": 413,
    }


async def test_rejections_are_counted_under_their_route(api_with_keys: ApiHarness) -> None:
    """The metrics show which routes unauthorized callers try."""
    await api_with_keys.get("N-1")
    metrics = await api_with_keys.http.get("/metrics", headers=bearer(await api_with_keys.create_key(Role.VIEWER)))
    sample = 'settlement_http_requests_total{method="GET",route="/v1/settlements/{requestUniqueNo}",status="401"}'
    assert sample in metrics.text


async def test_an_unknown_path_or_method_needs_no_key(api_with_keys: ApiHarness) -> None:
    assert (await api_with_keys.http.get("/v1/nothing")).status_code == 404
    answer = await api_with_keys.http.delete(SETTLEMENTS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("route", PROTECTED_ROUTES, ids=NAMES)
async def test_keys_that_cannot_be_looked_up_get_503(
    dead_temporal: Client, tmp_path: Path, route: tuple[str, str]
) -> None:
    """No caller is authorized, and none is told that the key is invalid. A forged key is rejected without a look-up."""
    engine = open_engine(f"sqlite:///{tmp_path / 'gone' / 'ledger.db'}")
    async with open_api(FlakyLedger(engine), dead_temporal, WITH_KEYS) as api:
        answer = await request_route(api, route, bearer(UNISSUED_KEY))
        assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")
        assert [(await request_route(api, route, each)).status_code for each in ({}, bearer(FORGED_KEY))] == [401, 401]
    await engine.dispose()


HERE = ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.9.9.9"]
ELSEWHERE = ["api.example", "127.0.0.1.example:8000", "localhost.example", "192.0.2.1", "[2001:db8::1]", "0", ""]


@pytest.mark.parametrize("host", HERE)
async def test_without_keys_loopback_requests_are_answered(api_without_temporal: ApiHarness, host: str) -> None:
    assert (await api_without_temporal.http.get(SETTLEMENTS, headers={"host": host})).status_code == 200
    assert (await api_without_temporal.http.get(SETTLEMENTS, headers={"origin": f"http://{host}"})).status_code == 200


@pytest.mark.parametrize("host", [*ELSEWHERE, "[", "127.0.0.1@evil.example"])
async def test_without_keys_requests_of_other_sites_are_rejected(api_without_temporal: ApiHarness, host: str) -> None:
    """A page in a browser on this machine could reach the API by DNS rebinding or by a cross-site request."""
    for headers in ({"host": host}, {"origin": f"http://{host}"}, {"origin": "null"}):
        answer = await api_without_temporal.post(order(), **headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert await api_without_temporal.accepted_numbers() == []


async def test_with_keys_any_host_name_is_accepted(api_with_keys: ApiHarness) -> None:
    headers = bearer(await api_with_keys.create_key(Role.VIEWER)) | {"host": "settlement.example"}
    assert (await api_with_keys.http.get(SETTLEMENTS, headers=headers)).status_code == 200
