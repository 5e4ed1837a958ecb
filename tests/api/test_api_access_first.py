"""Whoever may not enter learns nothing of the rules inside: a refusal comes before anything else is looked at."""

import json
from pathlib import Path

import pytest
from temporalio.client import Client

from ledger import open_engine
from settlement.keys import Role
from tests.api.doors import GUARDED, SETTLEMENTS, Door, bearer, open_door
from tests.api.who_may import GUARDED_ROUTES, NAMES, UNISSUED_KEY, UNKNOWN_KEY, ask
from tests.api.wire import chunk, exchange, head, served
from tests.support.ledgers import FlakyLedger
from tests.support.orders import order

JSON = {"content-type": "application/json"}
POSTS = [route for route in GUARDED_ROUTES if route[0] == "POST"]
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
async def test_the_body_changes_nothing_of_a_refusal(guarded: Door, path: str) -> None:
    """Without a key it is 401 and with one that may not it is 403, whatever was sent."""
    # A key that may not do it: an admin's moves no money, and a viewer makes no keys.
    may_not = await guarded.key(Role.VIEWER if "api-keys" in path else Role.ADMIN)
    for authorization, status in (({}, 401), (bearer(UNKNOWN_KEY), 401), (bearer(may_not), 403)):
        answers = []
        for number in ("N-1", "%00", "N" * 60):
            where = path.replace("{requestUniqueNo}", number).replace("{keyId}", number)
            answers += [
                await guarded.http.post(where, content=content, headers=headers | authorization)
                for headers, content in BODIES.values()
            ]
        assert {answer.status_code for answer in answers} == {status}
        assert len({answer.content for answer in answers}) == 1


async def test_neither_query_nor_path_nor_header_is_looked_at_first(guarded: Door) -> None:
    for path in (f"{SETTLEMENTS}?limit=0&nonsense=1", f"{SETTLEMENTS}/%00", f"{SETTLEMENTS}/unknown"):
        assert (await guarded.http.get(path)).status_code == 401
    answer = await guarded.post(order(), companyId="not a number", trace="")
    assert answer.status_code == 401


async def test_a_refusal_waits_for_no_body(guarded: Door) -> None:
    """Over a socket: the answer comes though the announced body never does, and however large it would be."""
    async with served(guarded.app) as port:
        for length in (10, 10**9):
            answer = await exchange(port, head("POST", SETTLEMENTS, f"content-length: {length}"))
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        parts = [head("POST", SETTLEMENTS, "transfer-encoding: chunked"), chunk(b" " * 4096)]
        assert (await exchange(port, *parts)).status == 401


async def test_with_a_key_the_rules_are_as_ever(guarded: Door) -> None:
    headers = bearer(await guarded.key(Role.PLATFORM))
    statuses = {
        name: (await guarded.http.post(SETTLEMENTS, content=content, headers=sent | headers)).status_code
        for name, (sent, content) in BODIES.items()
    }
    # 503: accepted, and there is no Temporal here.
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


async def test_refusals_are_counted_under_their_route(guarded: Door) -> None:
    """Whoever watches the metrics sees where somebody knocks."""
    await guarded.get("N-1")
    metrics = await guarded.http.get("/metrics", headers=bearer(await guarded.key(Role.VIEWER)))
    sample = 'settlement_http_requests_total{method="GET",route="/v1/settlements/{requestUniqueNo}",status="401"}'
    assert sample in metrics.text


async def test_a_path_that_is_none_needs_no_key(guarded: Door) -> None:
    assert (await guarded.http.get("/v1/nothing")).status_code == 404
    answer = await guarded.http.delete(SETTLEMENTS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("route", GUARDED_ROUTES, ids=NAMES)
async def test_keys_that_cannot_be_looked_up_are_a_503_that_says_so(
    dead_temporal: Client, tmp_path: Path, route: tuple[str, str]
) -> None:
    """No caller is let in, and none is told that the key is bad. A made-up key needs no look-up to be refused."""
    engine = open_engine(f"sqlite:///{tmp_path / 'gone' / 'ledger.db'}")
    async with open_door(FlakyLedger(engine), dead_temporal, GUARDED) as door:
        answer = await ask(door, route, bearer(UNISSUED_KEY))
        assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")
        assert [(await ask(door, route, each)).status_code for each in ({}, bearer(UNKNOWN_KEY))] == [401, 401]
    await engine.dispose()


HERE = ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.9.9.9"]
ELSEWHERE = ["api.example", "127.0.0.1.example:8000", "localhost.example", "192.0.2.1", "[2001:db8::1]", "0", ""]


@pytest.mark.parametrize("host", HERE)
async def test_where_keys_are_off_this_machine_is_answered(closed_door: Door, host: str) -> None:
    assert (await closed_door.http.get(SETTLEMENTS, headers={"host": host})).status_code == 200
    assert (await closed_door.http.get(SETTLEMENTS, headers={"origin": f"http://{host}"})).status_code == 200


@pytest.mark.parametrize("host", [*ELSEWHERE, "[", "127.0.0.1@evil.example"])
async def test_where_keys_are_off_no_other_sites_page_gets_in(closed_door: Door, host: str) -> None:
    """A page that a browser here has open may name this API as its own site, or post to it across sites."""
    for headers in ({"host": host}, {"origin": f"http://{host}"}, {"origin": "null"}):
        answer = await closed_door.post(order(), **headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert await closed_door.recorded() == []


async def test_where_keys_are_on_the_host_is_whatever_leads_here(guarded: Door) -> None:
    headers = bearer(await guarded.key(Role.VIEWER)) | {"host": "settlement.example"}
    assert (await guarded.http.get(SETTLEMENTS, headers=headers)).status_code == 200
