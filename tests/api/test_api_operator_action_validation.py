"""Requests of operators are validated before the settlement is read. Outages have their own error codes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from temporalio.client import Client

from api.settlements import operator_updates
from tests.api.api_harness import QUICK_SETTINGS, ApiHarness, accept
from tests.api.sockets import TcpProxy
from tests.support.orders import settlement
from tests.support.stopwatch import timed
from workflows.start import start_workflow

RETRY, RESOLUTION = "cancel-adjust-retries", "resolution"
ACTIONS = [RETRY, RESOLUTION]
VALID = {"reasonCode": "OTHER", "note": "reversed by the broker", "brokerReference": "ticket 17"}
LENGTH_MAX = {"reasonCode": 0, "note": 500, "brokerReference": 500}


def cases() -> Iterator[Any]:
    """Yield action, field and an invalid value. A retry needs no reference."""
    for kind in ACTIONS:
        for field, length_max in LENGTH_MAX.items():
            wrong = {"empty": "", "too long": "x" * (length_max + 1), "number": 7, "list": ["x"], "object": {}}
            wrong |= {"lone surrogate": "\ud800", "null": None}
            if (kind, field) == (RETRY, "brokerReference"):
                del wrong["null"], wrong["empty"]
            for name, value in wrong.items():
                yield pytest.param(kind, field, value, id=f"{kind}: {field} {name}")


@pytest.fixture
def _short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_updates, "ACTION_LIMIT_S", 0.5)


async def named(api: ApiHarness, kind: str, body: object) -> list[str]:
    """Request an action on an existing settlement, and return the fields that the 422 names."""
    number = await accept(api.ledger, settlement())
    answer = await api.act(number, kind, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    return [each["field"] for each in answer.json()["errors"]]


@pytest.mark.parametrize(("kind", "field", "value"), list(cases()))
async def test_a_broken_rule_is_reported_at_its_field(
    api_without_temporal: ApiHarness, kind: str, field: str, value: object
) -> None:
    content = json.dumps({**VALID, field: value})
    number = await accept(api_without_temporal.ledger, settlement())
    answer = await api_without_temporal.http.post(
        f"/v1/settlements/{number}/{kind}", content=content, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("kind", ACTIONS)
async def test_a_nul_character_is_rejected(api: ApiHarness, kind: str) -> None:
    """PostgreSQL rejects NUL: the action would happen in Temporal and could never be written to the ledger."""
    assert await named(api, kind, {name: f"{value}\x00" for name, value in VALID.items()}) == list(VALID)


@pytest.mark.parametrize(
    ("kind", "field"), [(RETRY, "reasonCode"), (RETRY, "note"), *((RESOLUTION, field) for field in LENGTH_MAX)]
)
async def test_missing_field_is_named(api_without_temporal: ApiHarness, kind: str, field: str) -> None:
    body = {name: value for name, value in VALID.items() if name != field}
    assert await named(api_without_temporal, kind, body) == [field]


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize("name", ["extra", "operator", "Note", "state", "requestUniqueNo"])
async def test_unknown_field_is_named(api_without_temporal: ApiHarness, kind: str, name: str) -> None:
    assert await named(api_without_temporal, kind, {**VALID, name: "x"}) == [name]


@pytest.mark.parametrize("kind", ACTIONS)
async def test_all_invalid_fields_are_named_and_no_value_is_echoed(
    api_without_temporal: ApiHarness, kind: str, logs: list[Any]
) -> None:
    number = await accept(api_without_temporal.ledger, settlement())
    answer = await api_without_temporal.act(number, kind, {name: ["hunter2"] for name in (*LENGTH_MAX, "extra")})
    assert {each["field"] for each in answer.json()["errors"]} == {*LENGTH_MAX, "extra"}
    assert "hunter2" not in answer.text + repr(logs)


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize(("body", "status"), [("", 422), ("[]", 422), ("null", 422), ("{", 400), ('"x"', 422)])
async def test_a_body_that_is_not_an_object_is_a_4xx(
    api_without_temporal: ApiHarness, kind: str, body: str, status: int
) -> None:
    answer = await api_without_temporal.http.post(
        f"/v1/settlements/N-1/{kind}", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.usefixtures("_short_limit")
async def test_without_a_worker_the_action_is_not_confirmed_in_time(api: ApiHarness, kind: str) -> None:
    start = settlement(policy=QUICK_SETTINGS.policy)
    number = await accept(api.ledger, start)
    await start_workflow(api.temporal, start)
    answer, took_s = await timed(api.act(number, kind, VALID))
    assert (answer.status_code, answer.json()["code"]) == (503, "workers-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert took_s < 3
    assert (await api.get(number)).json()["operatorActions"] == []


@pytest.mark.parametrize("kind", ACTIONS)
async def test_an_unreachable_temporal_is_reported(api_without_temporal: ApiHarness, kind: str) -> None:
    number = await accept(api_without_temporal.ledger, settlement())
    answer = await api_without_temporal.act(number, kind, VALID)
    assert (answer.status_code, answer.json()["code"]) == (503, "temporal-unavailable")


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize("outage", ["silent", "silent later", "down later"])
@pytest.mark.usefixtures("_short_limit")
async def test_an_unresponsive_temporal_gives_503_within_the_limit(
    api_behind_proxy: ApiHarness, temporal_proxy: TcpProxy, temporal: Client, kind: str, outage: str
) -> None:
    """Either code is correct: the API cannot know whether the action arrived."""
    number = await accept(api_behind_proxy.ledger, settlement())
    if "later" in outage:
        await temporal_proxy.forward_to(temporal.service_client.config.target_host)
        assert (await api_behind_proxy.act(number, kind, VALID)).status_code == 409
    await (temporal_proxy.close() if "down" in outage else temporal_proxy.stop_answering())
    answer, took_s = await timed(api_behind_proxy.act(number, kind, VALID))
    assert answer.status_code == 503
    assert answer.json()["code"] in {"temporal-unavailable", "workers-unavailable"}
    assert took_s < 3
