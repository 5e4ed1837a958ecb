"""A POST that breaks a rule of table 1: 422, naming exactly that field, and nothing is accepted."""

from typing import Any

import httpx2
import pytest

from contract.adjust import AdjustBody
from tests.api.doors import Door
from tests.api.refusals import FIELDS, PAIRS, REQUIRED, RULES, cases
from tests.support.orders import order

SECRET = "hunter2-4111111111111111\n"  # noqa: S105 - a value that looks like one
"""Breaks a rule of every field."""


def rules(answer: httpx2.Response) -> dict[str, str]:
    """Return the rule named for each field by a 422."""
    assert answer.status_code == 422
    body = answer.json()
    assert body["code"] == "validation-failed"
    by_field = {each["field"]: each["rule"] for each in body["errors"]}
    assert len(by_field) == len(body["errors"]), "one rule per field"
    assert all(f"{field}: {rule}" in body["detail"] for field, rule in by_field.items())
    return by_field


@pytest.mark.parametrize(("field", "value", "word"), list(cases()))
async def test_broken_rule_is_named_at_its_field(closed_door: Door, field: str, value: object, word: str) -> None:
    answer = await closed_door.post(order() | {field: value})
    broken = rules(answer)
    assert list(broken) == [field]
    assert word in broken[field]
    assert await closed_door.recorded() == []


@pytest.mark.parametrize("field", REQUIRED)
async def test_missing_field_is_named(closed_door: Door, field: str) -> None:
    body = order()
    del body[field]
    assert rules(await closed_door.post(body)) == {field: "Field required"}
    assert await closed_door.recorded() == []


@pytest.mark.parametrize(("changes", "word"), PAIRS.values(), ids=PAIRS)
async def test_amount_is_named_where_fields_do_not_fit_together(
    closed_door: Door, changes: dict[str, Any], word: str
) -> None:
    broken = rules(await closed_door.post(order(**changes)))
    assert list(broken) == ["amount"]
    assert word in broken["amount"]
    assert await closed_door.recorded() == []


@pytest.mark.parametrize("name", ["extra", "userNAME", "state", "policy", "", "a.b", "x" * 300])
async def test_unknown_field_is_named_and_not_ignored(closed_door: Door, name: str) -> None:
    """A misspelt optional field would otherwise get lost without a word."""
    answer = await closed_door.post(order() | {name: 1})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [name or "body"]
    assert await closed_door.recorded() == []


async def test_every_broken_field_is_named_at_once(closed_door: Door) -> None:
    answer = await closed_door.post(dict.fromkeys((*FIELDS, "extra"), SECRET), companyId="x", trace="a b")
    assert set(rules(answer)) == {*FIELDS, "extra", "companyId", "trace"}


async def test_every_missing_field_is_named_at_once(closed_door: Door) -> None:
    assert set(rules(await closed_door.post({}))) == set(REQUIRED)


@pytest.mark.parametrize("field", [*FIELDS, "extra"])
async def test_offending_value_is_neither_echoed_nor_logged(closed_door: Door, logs: list[Any], field: str) -> None:
    """It may be a customer's secret in the wrong field."""
    answer = await closed_door.post(order() | {field: SECRET})
    assert list(rules(answer)) == [field]
    assert SECRET.strip() not in answer.text
    assert SECRET.strip() not in repr(logs)


@pytest.mark.parametrize("name", ["companyId", "trace"])
async def test_offending_header_is_neither_echoed_nor_logged(closed_door: Door, logs: list[Any], name: str) -> None:
    answer = await closed_door.post(order(), **{name: "hunter2 4111111111111111"})
    assert list(rules(answer)) == [name]
    assert "hunter2" not in answer.text + repr(logs)


def test_table_of_rules_covers_every_field() -> None:
    """A field added to the contract needs its rules here."""
    assert set(RULES) == set(FIELDS) == set(AdjustBody.model_fields)
