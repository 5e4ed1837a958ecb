"""The models and the published documents have the same fields, lengths and paths."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from connector import ExternalSystemConfig
from contract.adjust import AdjustBody, AdjustRequest
from contract.cancel_adjust import CancelAdjustBody, CancelAdjustRequest
from contract.cancel_operation import CancelOperationBody, CancelOperationRequest
from contract.operations import ExternalReply
from tests.conformity.reading import ADJUST, CANCEL_ADJUST, CANCEL_OPERATION, PUBLISHED, REFERENCE, Published, faults

BODIES: list[tuple[Published, type[BaseModel]]] = [
    (ADJUST, AdjustRequest),
    (ADJUST, AdjustBody),
    (CANCEL_ADJUST, CancelAdjustRequest),
    (CANCEL_ADJUST, CancelAdjustBody),
    (CANCEL_OPERATION, CancelOperationRequest),
    (CANCEL_OPERATION, CancelOperationBody),
]
LENGTHS: list[Any] = [
    pytest.param(model, field, schema["maxLength"], id=f"{model.__name__}.{field}")
    for published, model in BODIES
    if model.__name__.endswith("Request")
    for field, schema in published.body["properties"].items()
    if "maxLength" in schema
]
every_body = pytest.mark.parametrize(("published", "model"), BODIES, ids=[model.__name__ for _, model in BODIES])


def texts(value: object) -> Iterator[tuple[str, str]]:
    """Yield every text in a document with the name of its field."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in pairs:
        if isinstance(inner, str):
            yield str(name), inner
        yield from texts(inner)


@every_body
def test_fields_are_the_published_ones(published: Published, model: type[BaseModel]) -> None:
    assert set(model.model_fields) == set(published.body["properties"])


@every_body
def test_required_fields_are_the_published_ones(published: Published, model: type[BaseModel]) -> None:
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert required == set(published.body["required"])


@pytest.mark.parametrize(("model", "field", "length"), LENGTHS)
def test_lengths_are_the_published_ones(model: type[BaseModel], field: str, length: int) -> None:
    schema = model.model_json_schema()["properties"][field]
    [text] = [each for each in schema.get("anyOf", [schema]) if each["type"] == "string"]
    assert text["maxLength"] == length


@pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED)
def test_reply_is_the_same_for_all_three(published: Published) -> None:
    assert set(ExternalReply.model_fields) == set(published.reply["properties"])
    assert published.reply == ADJUST.reply


def test_paths_are_the_published_ones_by_default() -> None:
    config = ExternalSystemConfig("http://127.0.0.1")
    assert config.adjust_path == ADJUST.path
    assert config.cancel_adjust_path == CANCEL_ADJUST.path
    assert config.cancel_operation_path == CANCEL_OPERATION.path


@pytest.mark.parametrize("name", sorted(path.name for path in REFERENCE.iterdir()))
def test_our_copy_holds_facts_and_no_sentences(name: str) -> None:
    document = json.loads((REFERENCE / name).read_text())
    assert not [text for key, text in texts(document) if key in {"description", "summary", "title"} and text]
    assert not [text for _, text in texts(document) if " " in text or not text.isascii()]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"userName": "x" * 49}, "$.userName: "),
        ({"orderId": 2**63}, "$.orderId: "),
        ({"orderId": "7"}, "$.orderId: "),
        ({"amount": 12.5}, "$.amount: "),
        ({"requestTime": None}, "$.requestTime: "),
    ],
    ids=["length", "int64", "type", "float", "null"],
)
def test_check_finds_wrong_bodies(value: dict[str, object], fault: str) -> None:
    """A test of the check itself: a body with one error is reported with that error."""
    assert any(each.startswith(fault) for each in faults(ADJUST.body, value))
    assert "$: 'currency' is a required property" in faults(ADJUST.body, value)


def test_check_finds_wrong_headers() -> None:
    wrong = {"Host": "x", "timestamp": "soon", "companyId": "7.5", "X-Other": "1"}
    assert ADJUST.header_faults(wrong) == [
        "undeclared X-Other",
        "missing trace",
        "companyId is not integer: 7.5",
        "timestamp is not number: soon",
    ]
