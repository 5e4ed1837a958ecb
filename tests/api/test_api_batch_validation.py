"""Requests about batches are validated first: an error names the field, and no batch is started."""

from typing import Any

import pytest

from contract.fields import INT64_MAX
from settlement.operator_rules import NOTE_LENGTH_MAX
from tests.api.api_harness import ApiHarness
from tests.api.batch_requests import BATCHES, PREVIEW, VALID, add_aborted, post_batch, read
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
    ({"system": "a b"}, "system"),
    ({"system": "Alpha"}, "system"),
    ({"system": "x" * 33}, "system"),
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
    *(({"selection": {"system": value}}, "selection.system") for value in ("", "a b", 7)),
    ({"expectedCount": None}, "expectedCount"),
    ({"ratePerS": 0}, "ratePerS"),
    ({"ratePerS": 0.09}, "ratePerS"),
    ({"ratePerS": 100.1}, "ratePerS"),
    ({"ratePerS": "fast"}, "ratePerS"),
    ({"sumsMax": {}}, "sumsMax"),
    ({"sumsMax": {"USD": 5}}, "sumsMax.USD"),
    ({"sumsMax": {"USD": "1e3"}}, "sumsMax.USD"),
    ({"selection": None}, "selection"),
    ({"selection": {}}, "selection"),
    ({"selection": {"companyId": None}}, "selection"),
    ({"selection": {"company": 7}}, "selection.company"),
    ({"operator": "somebody"}, "operator"),
]


async def refused_at(api: ApiHarness, answer: Any, field: str, sent: object = None) -> None:  # noqa: ANN401 - httpx2's response
    """Check that the error names one field, and that no batch was started. `sent` names the case in a failure."""
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed"), sent
    assert [each["field"] for each in answer.json()["errors"]] == [field], sent
    assert (await read(api, BATCHES))["items"] == [], sent


async def test_preview_names_the_broken_rule(api_without_temporal: ApiHarness) -> None:
    for params, field in SELECTIONS:
        answer = await api_without_temporal.http.get(PREVIEW, params=params)
        await refused_at(api_without_temporal, answer, field, params)


async def test_a_preview_without_a_filter_is_rejected(api_without_temporal: ApiHarness) -> None:
    """A missing filter must not select the settlements of every broker."""
    answer = await api_without_temporal.http.get(PREVIEW)
    await refused_at(api_without_temporal, answer, "query")
    assert "at least one" in answer.json()["errors"][0]["rule"]


async def test_a_broken_rule_of_a_batch_is_reported_at_its_field(api_without_temporal: ApiHarness) -> None:
    await add_aborted(api_without_temporal, 1)
    for fields, field in BODIES:
        await refused_at(api_without_temporal, await post_batch(api_without_temporal, 1, **fields), field, fields)


async def test_a_broken_rule_of_a_selection_is_reported_at_its_field(api_without_temporal: ApiHarness) -> None:
    for params, field in SELECTIONS:
        answer = await post_batch(api_without_temporal, 1, selection=params)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed"), params
        assert f"selection.{field}" in [each["field"] for each in answer.json()["errors"]], params


@pytest.mark.parametrize("rate", ["NaN", "Infinity", "1e999"])
async def test_a_rate_that_is_not_a_number_is_rejected(api_without_temporal: ApiHarness, rate: str) -> None:
    content = f'{{"selection":{{"companyId":7}},"reasonCode":"OTHER","note":"n","expectedCount":1,"ratePerS":{rate}}}'
    answer = await api_without_temporal.http.post(
        BATCHES, content=content, headers={"content-type": "application/json"}
    )
    await refused_at(api_without_temporal, answer, "ratePerS")


@pytest.mark.parametrize("key", ["x" * 129, "a,b", "a b", "\u00e9"])
async def test_idempotency_key_has_a_rule(api_without_temporal: ApiHarness, key: str) -> None:
    await add_aborted(api_without_temporal, 1)
    headers = {"idempotency-key": key.encode("latin-1")}
    answer = await api_without_temporal.http.post(BATCHES, json=VALID, headers=headers)  # type: ignore[arg-type] # bytes, as they go over the wire
    await refused_at(api_without_temporal, answer, "idempotency-key")


async def test_the_longest_note_fits_the_audit(api_without_temporal: ApiHarness) -> None:
    await add_aborted(api_without_temporal, 1)
    assert (await post_batch(api_without_temporal, 1, note="x" * NOTE_LENGTH_MAX)).status_code == 202


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
async def test_pages_have_bounds(
    api_without_temporal: ApiHarness, path: str, params: dict[str, str], field: str
) -> None:
    await add_aborted(api_without_temporal, 1)
    where = BATCHES + (f"/{(await post_batch(api_without_temporal, 1)).json()['batchId']}{path}" if path else "")
    answer = await api_without_temporal.http.get(where, params=params)
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
async def test_a_body_that_is_not_a_batch_request_is_a_4xx(
    api_without_temporal: ApiHarness, content: str, content_type: str, status: int
) -> None:
    answer = await api_without_temporal.http.post(BATCHES, content=content, headers={"content-type": content_type})
    assert answer.status_code == status


async def test_everything_is_selected_only_with_all(api_without_temporal: ApiHarness) -> None:
    await add_aborted(api_without_temporal, 2)
    found = await api_without_temporal.http.get(PREVIEW, params={"all": "true"})
    assert (found.status_code, found.json()["count"]) == (200, 2)
    assert [(each["companyId"], each["cause"], each["count"]) for each in found.json()["lines"]] == [
        (7, UNKNOWN.rule, 2)
    ]
    assert (await post_batch(api_without_temporal, 2, selection={"all": True})).status_code == 202


@pytest.mark.parametrize("params", [{"all": "false"}, {"all": "1"}, {"all": ""}, {"all": "true", "companyId": "7"}])
async def test_all_together_with_another_filter_is_rejected(
    api_without_temporal: ApiHarness, params: dict[str, str]
) -> None:
    answer = await api_without_temporal.http.get(PREVIEW, params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
