"""A POST that breaks a rule of table 1: 422 with exactly that field, and nothing is accepted."""

from typing import Any

import httpx2
import pytest

from contract.adjust import AdjustBody
from tests.api.api_harness import ApiHarness
from tests.api.invalid_orders import FIELDS, PAIRS, REQUIRED, RULES
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


@pytest.mark.parametrize("field", RULES)
async def test_a_broken_rule_is_reported_at_its_field(api_without_temporal: ApiHarness, field: str) -> None:
    wrong = {}
    for name, (value, word) in RULES[field].items():
        broken = rules(await api_without_temporal.post(order() | {field: value}))
        if list(broken) != [field] or word not in broken[field]:
            wrong[name] = broken
    assert wrong == {}
    assert await api_without_temporal.accepted_numbers() == []


@pytest.mark.parametrize("field", REQUIRED)
async def test_missing_field_is_named(api_without_temporal: ApiHarness, field: str) -> None:
    body = order()
    del body[field]
    assert rules(await api_without_temporal.post(body)) == {field: "Field required"}
    assert await api_without_temporal.accepted_numbers() == []


@pytest.mark.parametrize(("changes", "word"), PAIRS.values(), ids=PAIRS)
async def test_fields_that_contradict_each_other_are_reported_at_the_amount(
    api_without_temporal: ApiHarness, changes: dict[str, Any], word: str
) -> None:
    broken = rules(await api_without_temporal.post(order(**changes)))
    assert list(broken) == ["amount"]
    assert word in broken["amount"]
    assert await api_without_temporal.accepted_numbers() == []


@pytest.mark.parametrize("name", ["extra", "userNAME", "state", "policy", "", "a.b", "x" * 300])
async def test_an_unknown_field_is_rejected_by_name(api_without_temporal: ApiHarness, name: str) -> None:
    """Otherwise a misspelt optional field would be lost silently."""
    answer = await api_without_temporal.post(order() | {name: 1})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [name or "body"]
    assert await api_without_temporal.accepted_numbers() == []


async def test_all_invalid_fields_are_named_in_one_response(api_without_temporal: ApiHarness) -> None:
    answer = await api_without_temporal.post(dict.fromkeys((*FIELDS, "extra"), SECRET), companyId="x", trace="a b")
    assert set(rules(answer)) == {*FIELDS, "extra", "companyId", "trace"}


async def test_all_missing_fields_are_named_in_one_response(api_without_temporal: ApiHarness) -> None:
    assert set(rules(await api_without_temporal.post({}))) == set(REQUIRED)


@pytest.mark.parametrize("field", [*FIELDS, "extra"])
async def test_offending_value_is_neither_echoed_nor_logged(
    api_without_temporal: ApiHarness, logs: list[Any], field: str
) -> None:
    """It may be a secret of a customer in the wrong field."""
    answer = await api_without_temporal.post(order() | {field: SECRET})
    assert list(rules(answer)) == [field]
    assert SECRET.strip() not in answer.text
    assert SECRET.strip() not in repr(logs)


@pytest.mark.parametrize("name", ["companyId", "trace"])
async def test_offending_header_is_neither_echoed_nor_logged(
    api_without_temporal: ApiHarness, logs: list[Any], name: str
) -> None:
    answer = await api_without_temporal.post(order(), **{name: "hunter2 4111111111111111"})
    assert list(rules(answer)) == [name]
    assert "hunter2" not in answer.text + repr(logs)


def test_table_of_rules_covers_every_field() -> None:
    """A field added to the contract needs its rules here."""
    assert set(RULES) == set(FIELDS) == set(AdjustBody.model_fields)
