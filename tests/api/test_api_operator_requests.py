"""What an operator sends is checked before anything is asked of a settlement; and outages are named."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from temporalio.client import Client

from api.settlements import operator_actions
from tests.api.doors import QUICK_SETTINGS, Door, accept
from tests.api.wire import Line
from tests.support.orders import settlement
from tests.support.stopwatch import timed
from workflows.start import start_workflow

RETRY, RESOLUTION = "cancel-adjust-retries", "resolution"
ACTS = [RETRY, RESOLUTION]
VALID = {"reasonCode": "OTHER", "note": "reversed by the broker", "brokerReference": "ticket 17"}
LENGTH_MAX = {"reasonCode": 0, "note": 500, "brokerReference": 500}


def cases() -> Iterator[Any]:
    """Yield act, field and a value that it must refuse; a retry needs no reference."""
    for kind in ACTS:
        for field, length_max in LENGTH_MAX.items():
            wrong = {"empty": "", "too long": "x" * (length_max + 1), "number": 7, "list": ["x"], "object": {}}
            wrong |= {"lone surrogate": "\ud800", "null": None}
            if (kind, field) == (RETRY, "brokerReference"):
                del wrong["null"], wrong["empty"]
            for name, value in wrong.items():
                yield pytest.param(kind, field, value, id=f"{kind}: {field} {name}")


@pytest.fixture
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_actions, "ACT_LIMIT_S", 0.5)


async def named(door: Door, kind: str, body: object) -> list[str]:
    """Send an act on a settlement that is there, and return the fields that the 422 names."""
    number = await accept(door.ledger, settlement())
    answer = await door.act(number, kind, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    return [each["field"] for each in answer.json()["errors"]]


@pytest.mark.parametrize(("kind", "field", "value"), list(cases()))
async def test_broken_rule_is_named_at_its_field(closed_door: Door, kind: str, field: str, value: object) -> None:
    content = json.dumps({**VALID, field: value})
    number = await accept(closed_door.ledger, settlement())
    answer = await closed_door.http.post(
        f"/v1/settlements/{number}/{kind}", content=content, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("kind", ACTS)
async def test_nul_is_refused(door: Door, kind: str) -> None:
    """PostgreSQL takes none: the act would be done in Temporal, and the ledger could never be told of it."""
    assert await named(door, kind, {name: f"{value}\x00" for name, value in VALID.items()}) == list(VALID)


@pytest.mark.parametrize(
    ("kind", "field"), [(RETRY, "reasonCode"), (RETRY, "note"), *((RESOLUTION, field) for field in LENGTH_MAX)]
)
async def test_missing_field_is_named(closed_door: Door, kind: str, field: str) -> None:
    body = {name: value for name, value in VALID.items() if name != field}
    assert await named(closed_door, kind, body) == [field]


@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize("name", ["extra", "operator", "Note", "state", "requestUniqueNo"])
async def test_unknown_field_is_named(closed_door: Door, kind: str, name: str) -> None:
    assert await named(closed_door, kind, {**VALID, name: "x"}) == [name]


@pytest.mark.parametrize("kind", ACTS)
async def test_all_broken_fields_are_named_and_none_is_echoed(closed_door: Door, kind: str, logs: list[Any]) -> None:
    number = await accept(closed_door.ledger, settlement())
    answer = await closed_door.act(number, kind, {name: ["hunter2"] for name in (*LENGTH_MAX, "extra")})
    assert {each["field"] for each in answer.json()["errors"]} == {*LENGTH_MAX, "extra"}
    assert "hunter2" not in answer.text + repr(logs)


@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize(("body", "status"), [("", 422), ("[]", 422), ("null", 422), ("{", 400), ('"x"', 422)])
async def test_body_that_is_no_object_is_a_4xx(closed_door: Door, kind: str, body: str, status: int) -> None:
    answer = await closed_door.http.post(
        f"/v1/settlements/N-1/{kind}", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status


@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.usefixtures("_little_patience")
async def test_without_a_worker_the_act_is_not_confirmed_in_time(door: Door, kind: str) -> None:
    start = settlement(policy=QUICK_SETTINGS.policy)
    number = await accept(door.ledger, start)
    await start_workflow(door.temporal, start)
    answer, took_s = await timed(door.act(number, kind, VALID))
    assert (answer.status_code, answer.json()["code"]) == (503, "workers-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert took_s < 3
    assert (await door.get(number)).json()["operatorActions"] == []


@pytest.mark.parametrize("kind", ACTS)
async def test_temporal_that_is_down_is_named(closed_door: Door, kind: str) -> None:
    number = await accept(closed_door.ledger, settlement())
    answer = await closed_door.act(number, kind, VALID)
    assert (answer.status_code, answer.json()["code"]) == (503, "temporal-unavailable")


@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize("outage", ["silent", "silent later", "down later"])
@pytest.mark.usefixtures("_little_patience")
async def test_temporal_that_does_not_answer_is_a_503_within_the_limit(
    lined_door: Door, temporal_line: Line, temporal: Client, kind: str, outage: str
) -> None:
    """Which of the two codes it is cannot be told from here: the act may have arrived."""
    number = await accept(lined_door.ledger, settlement())
    if "later" in outage:
        await temporal_line.lead_to(temporal.service_client.config.target_host)
        assert (await lined_door.act(number, kind, VALID)).status_code == 409
    await (temporal_line.close() if "down" in outage else temporal_line.answer_nothing())
    answer, took_s = await timed(lined_door.act(number, kind, VALID))
    assert answer.status_code == 503
    assert answer.json()["code"] in {"temporal-unavailable", "workers-unavailable"}
    assert took_s < 3
