"""What is asked of batches is checked first: a broken rule is named at its field, and nothing is begun."""

from typing import Any

import pytest

from contract.fields import INT64_MAX
from settlement.operator_rules import NOTE_LENGTH_MAX
from tests.api.batching import BATCHES, PREVIEW, VALID, abort, begin, read
from tests.api.doors import Door
from tests.support.scripted import UNKNOWN

NOT_A_MOMENT = [
    "yesterday",
    "20260105",
    "0.5",
    "1767614400",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "0001-01-01T00:00:00+23:00",
    "2026-13-01T00:00:00Z",
]
SELECTIONS: list[tuple[dict[str, Any], str]] = [
    ({"companyId": "x"}, "companyId"),
    ({"companyId": "1.5"}, "companyId"),
    ({"companyId": "1_0"}, "companyId"),
    ({"companyId": "7.0"}, "companyId"),
    ({"companyId": str(INT64_MAX + 1)}, "companyId"),
    ({"cause": "WEATHER"}, "cause"),
    ({"cause": "deadline"}, "cause"),
    *(({field: value}, field) for field in ("from", "to") for value in NOT_A_MOMENT),
    ({"companyId": "7", "state": "ABORTED"}, "state"),
]
BODIES: list[tuple[dict[str, Any], str]] = [
    ({"reasonCode": "WEATHER"}, "reasonCode"),
    ({"reasonCode": None}, "reasonCode"),
    ({"note": ""}, "note"),
    ({"note": "x" * (NOTE_LENGTH_MAX + 1)}, "note"),
    ({"note": "a\x00b"}, "note"),
    ({"note": 7}, "note"),
    ({"expectedCount": 0}, "expectedCount"),
    ({"expectedCount": 10_001}, "expectedCount"),
    ({"expectedCount": 1.5}, "expectedCount"),
    *(({"expectedCount": value}, "expectedCount") for value in (True, "1", 1.0)),
    *(({"ratePerS": value}, "ratePerS") for value in (True, "10")),
    *(({"selection": {"companyId": value}}, "selection.companyId") for value in (True, "7", 7.0)),
    *(({"selection": {"from": value}}, "selection.from") for value in (True, 0, 20260105, 1767614400.5, "1767614400")),
    ({"expectedCount": None}, "expectedCount"),
    ({"ratePerS": 0}, "ratePerS"),
    ({"ratePerS": 0.09}, "ratePerS"),
    ({"ratePerS": 100.1}, "ratePerS"),
    ({"ratePerS": "fast"}, "ratePerS"),
    ({"selection": None}, "selection"),
    ({"selection": {}}, "selection"),
    ({"selection": {"companyId": None}}, "selection"),
    ({"selection": {"company": 7}}, "selection.company"),
    ({"operator": "somebody"}, "operator"),
]


async def refused_at(door: Door, answer: Any, field: str) -> None:  # noqa: ANN401 - httpx2's response
    """Check that one rule is named at its field, and that nothing was begun."""
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert (await read(door, BATCHES))["items"] == []


@pytest.mark.parametrize(("params", "field"), SELECTIONS)
async def test_preview_names_the_broken_rule(closed_door: Door, params: dict[str, str], field: str) -> None:
    await refused_at(closed_door, await closed_door.http.get(PREVIEW, params=params), field)


async def test_preview_of_everything_is_refused(closed_door: Door) -> None:
    """One slip must not retry every broker's settlements."""
    answer = await closed_door.http.get(PREVIEW)
    await refused_at(closed_door, answer, "query")
    assert "at least one" in answer.json()["errors"][0]["rule"]


@pytest.mark.parametrize(("fields", "field"), BODIES)
async def test_broken_rule_of_a_batch_is_named(closed_door: Door, fields: dict[str, Any], field: str) -> None:
    await abort(closed_door, 1)
    await refused_at(closed_door, await begin(closed_door, 1, **fields), field)


@pytest.mark.parametrize(("params", "field"), SELECTIONS)
async def test_broken_rule_of_a_batchs_selection_is_named(
    closed_door: Door, params: dict[str, str], field: str
) -> None:
    answer = await begin(closed_door, 1, selection=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert f"selection.{field}" in [each["field"] for each in answer.json()["errors"]]


@pytest.mark.parametrize("rate", ["NaN", "Infinity", "1e999"])
async def test_rate_that_is_no_number_is_refused(closed_door: Door, rate: str) -> None:
    content = f'{{"selection":{{"companyId":7}},"reasonCode":"OTHER","note":"n","expectedCount":1,"ratePerS":{rate}}}'
    answer = await closed_door.http.post(BATCHES, content=content, headers={"content-type": "application/json"})
    await refused_at(closed_door, answer, "ratePerS")


@pytest.mark.parametrize("key", ["x" * 129, "a,b", "a b", "\u00e9"])
async def test_idempotency_key_has_a_rule(closed_door: Door, key: str) -> None:
    await abort(closed_door, 1)
    headers = {"idempotency-key": key.encode("latin-1")}
    answer = await closed_door.http.post(BATCHES, json=VALID, headers=headers)  # type: ignore[arg-type] # bytes, as they go over the wire
    await refused_at(closed_door, answer, "idempotency-key")


async def test_longest_note_fits_every_settlements_audit(closed_door: Door) -> None:
    await abort(closed_door, 1)
    assert (await begin(closed_door, 1, note="x" * NOTE_LENGTH_MAX)).status_code == 202


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("", {"limit": "0"}, "limit"),
        ("", {"limit": "51"}, "limit"),
        ("", {"limit": "1_0"}, "limit"),
        ("", {"cursor": "x"}, "cursor"),
        ("/items", {"limit": "0"}, "limit"),
        ("/items", {"limit": "201"}, "limit"),
        ("/items", {"after": "-1"}, "after"),
        ("/items", {"after": "10001"}, "after"),
        ("/items", {"after": "1.0"}, "after"),
        ("/items", {"page": "2"}, "page"),
    ],
)
async def test_pages_have_bounds(closed_door: Door, path: str, params: dict[str, str], field: str) -> None:
    await abort(closed_door, 1)
    where = BATCHES + (f"/{(await begin(closed_door, 1)).json()['batchId']}{path}" if path else "")
    answer = await closed_door.http.get(where, params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        ("{", "application/json", 400),
        ('{"note":"a","note":"b"}', "application/json", 400),
        ("[]", "application/json", 422),
        ("{}", "text/plain", 415),
        ('{"note":"' + "x" * 20_000 + '"}', "application/json", 413),
    ],
)
async def test_body_that_is_no_order_is_a_4xx(closed_door: Door, content: str, content_type: str, status: int) -> None:
    answer = await closed_door.http.post(BATCHES, content=content, headers={"content-type": content_type})
    assert answer.status_code == status


async def test_everything_is_selected_only_when_it_is_said(closed_door: Door) -> None:
    await abort(closed_door, 2)
    found = await closed_door.http.get(PREVIEW, params={"all": "true"})
    assert (found.status_code, found.json()["count"]) == (200, 2)
    assert [(each["companyId"], each["cause"], each["count"]) for each in found.json()["lines"]] == [
        (7, UNKNOWN.rule, 2)
    ]
    assert (await begin(closed_door, 2, selection={"all": True})).status_code == 202


@pytest.mark.parametrize("params", [{"all": "false"}, {"all": "1"}, {"all": ""}, {"all": "true", "companyId": "7"}])
async def test_everything_and_something_is_refused(closed_door: Door, params: dict[str, str]) -> None:
    answer = await closed_door.http.get(PREVIEW, params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
