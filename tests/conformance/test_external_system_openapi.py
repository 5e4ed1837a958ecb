"""The OpenAPI document for brokers is valid, says what the published ones say, and its examples are true."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from schemathesis.specs.openapi.definitions import OPENAPI_31

from contract.adjust import AdjustRequest
from contract.cancel_adjust import CancelAdjustRequest
from contract.cancel_operation import CancelOperationRequest
from tests.conformity.reading import ADJUST, CANCEL_ADJUST, CANCEL_OPERATION, Published
from tests.support.documents import ROOT
from tests.support.reference_broker import Broker

TEXT = (ROOT / "docs/conformance/external-system.openapi.yaml").read_text()
DOCUMENT: dict[str, Any] = yaml.safe_load(TEXT)
OPERATIONS: dict[str, dict[str, Any]] = {path: methods["post"] for path, methods in DOCUMENT["paths"].items()}
PUBLISHED = {each.path: each for each in (ADJUST, CANCEL_ADJUST, CANCEL_OPERATION)}
MODELS: dict[str, type[BaseModel]] = {
    ADJUST.path: AdjustRequest,
    CANCEL_ADJUST.path: CancelAdjustRequest,
    CANCEL_OPERATION.path: CancelOperationRequest,
}
JSON = "application/json"
CLOSED = "closed-1"

every_operation = pytest.mark.parametrize("published", PUBLISHED.values(), ids=lambda each: each.path)


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the document, or what it refers to."""
    if "$ref" not in part:
        return part
    found: Any = DOCUMENT
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def body_schema(path: str) -> dict[str, Any]:
    """Return the schema of an operation's body."""
    return resolved(OPERATIONS[path]["requestBody"]["content"][JSON]["schema"])


def requests_of(path: str) -> dict[str, Any]:
    """Return the examples of an operation's body by their names."""
    return {name: each["value"] for name, each in OPERATIONS[path]["requestBody"]["content"][JSON]["examples"].items()}


def replies_of(path: str) -> dict[str, Any]:
    """Return the examples of an operation's reply by their names."""
    content = OPERATIONS[path]["responses"]["200"]["content"][JSON]
    return {name: resolved(each)["value"] for name, each in content["examples"].items()}


def facts(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what the published documents say of a field."""
    bound = {"maxLength": schema["maxLength"]} if "maxLength" in schema else {}
    return {"type": schema["type"], **({"format": "int64"} if "format" in schema else {}), **bound}


def described(node: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property that a schema declares with a type, and its name."""
    pairs = node.items() if isinstance(node, dict) else []
    for name, part in pairs:
        if name == "properties":
            yield from ((field, schema) for field, schema in part.items() if "type" in schema)
        yield from described(part)


def test_it_is_openapi_3_1_in_plain_yaml() -> None:
    """Generators of code do not know aliases and merge keys; `$ref` they do."""
    assert list(Draft202012Validator(OPENAPI_31).iter_errors(DOCUMENT)) == []
    assert not [event for event in yaml.parse(TEXT) if isinstance(event, yaml.AliasEvent)]


def test_every_schema_is_valid_json_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@every_operation
def test_headers_and_fields_are_the_published_ones(published: Published) -> None:
    schema = body_schema(published.path)
    assert set(schema["required"]) == set(published.body["required"])
    assert set(schema["properties"]) == set(published.body["properties"])
    for name, field in published.body["properties"].items():
        ours = facts(schema["properties"][name])
        assert {key: ours.get(key) for key in facts(field)} == facts(field), name
        assert set(ours) - set(facts(field)) <= {"maxLength"}
    parameters = [resolved(each) for each in OPERATIONS[published.path]["parameters"]]
    asked = [(each["name"], each["in"], each["required"], each["schema"]["type"]) for each in parameters]
    assert asked == [
        (each["name"], each["in"], each["required"], each["schema"]["type"]) for each in published.parameters
    ]


def test_the_reply_has_the_published_fields() -> None:
    reply = DOCUMENT["components"]["schemas"]["Reply"]["properties"]
    assert {name: facts(field) for name, field in reply.items()} == {
        name: facts(field) for name, field in ADJUST.reply["properties"].items()
    }


def test_everything_is_described() -> None:
    parameters = [resolved(each) for operation in OPERATIONS.values() for each in operation["parameters"]]
    assert all(each["description"] for each in parameters)
    properties = list(described(DOCUMENT["components"]["schemas"]))
    assert {name for name, _ in properties} >= {*ADJUST.body["properties"], *ADJUST.reply["properties"]}
    assert [name for name, schema in properties if not schema.get("description")] == []


@every_operation
def test_examples_of_requests_fit_the_schema_and_the_models(published: Published) -> None:
    for example in requests_of(published.path).values():
        assert list(Draft202012Validator(body_schema(published.path)).iter_errors(example)) == []
        MODELS[published.path].model_validate(example)


@every_operation
def test_examples_of_replies_fit_the_schema(published: Published) -> None:
    validator = Draft202012Validator(DOCUMENT["components"]["schemas"]["Reply"])
    for example in replies_of(published.path).values():
        assert list(validator.iter_errors(example)) == []
        assert set(example) == set(ADJUST.reply["properties"])


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (ADJUST.path, {"amount": "-1"}),
        (ADJUST.path, {"amount": "0.00"}),
        (ADJUST.path, {"amount": "1e3"}),
        (ADJUST.path, {"amount": "3", "operationType": "ABNORMAL_OVERTRADING"}),
        (ADJUST.path, {"currency": "XXX"}),
        (ADJUST.path, {"bizType": 3}),
        (ADJUST.path, {"orderId": 2**63}),
        (CANCEL_ADJUST.path, {"amount": "0"}),
        (CANCEL_ADJUST.path, {"amount": "-1"}),
        (CANCEL_OPERATION.path, {"reverse_type": 3}),
    ],
)
def test_a_request_that_breaks_a_rule_does_not_fit(path: str, changes: dict[str, Any]) -> None:
    example = next(iter(requests_of(path).values())) | changes
    assert list(Draft202012Validator(body_schema(path)).iter_errors(example)) != []


def test_a_reply_that_contradicts_itself_does_not_fit() -> None:
    reply = replies_of(ADJUST.path)["applied"] | {"ok": False}
    assert list(Draft202012Validator(DOCUMENT["components"]["schemas"]["Reply"]).iter_errors(reply)) != []


async def test_the_reference_broker_gives_each_example_as_its_reply(broker: Broker, number: str) -> None:
    """Each name of an example is brought about with the document's own requests, under fresh numbers."""
    await _adjusts(broker, number)
    for path in (CANCEL_ADJUST.path, CANCEL_OPERATION.path):
        await _cancels(broker, path, f"{number}-{len(path)}")


async def _adjusts(broker: Broker, number: str) -> None:
    adjust, expected = requests_of(ADJUST.path)["open"] | {"requestUniqueNo": number}, replies_of(ADJUST.path)
    cancel = requests_of(CANCEL_ADJUST.path)["timeout"]
    assert await _reply(broker, ADJUST.path, adjust) == expected["applied"]
    assert await _reply(broker, ADJUST.path, adjust | {"orderId": 1}) == expected["number_reused"]
    assert await _reply(broker, ADJUST.path, adjust | {"amount": 1.5}) == expected["malformed"]
    closed = adjust | {"requestUniqueNo": f"{number}-2", "thirdServerCode": CLOSED}
    assert await _reply(broker, ADJUST.path, closed) == expected["refused"]
    unseen = {"requestUniqueNo": f"C-{number}", "reverseRequestUniqueNo": f"{number}-3"}
    await _reply(broker, CANCEL_ADJUST.path, cancel | unseen)
    assert await _reply(broker, ADJUST.path, adjust | {"requestUniqueNo": f"{number}-3"}) == expected["dangling"]
    assert len(expected) == 5


async def _cancels(broker: Broker, path: str, number: str) -> None:
    adjust, cancel, expected = requests_of(ADJUST.path)["open"], requests_of(path)["timeout"], replies_of(path)
    own, of, remark, user = [_field(cancel, each) for each in ("CANCEL-1", "ORD-1", "no reply within 3 s", "user-1")]

    async def reply(to: str, **changes: object) -> dict[str, Any]:
        return await _reply(broker, path, cancel | {own: f"C-{to}", of: to} | changes)

    closed, unseen = f"{number}-2", f"{number}-3"
    await _reply(broker, ADJUST.path, adjust | {"requestUniqueNo": number})
    await _reply(broker, ADJUST.path, adjust | {"requestUniqueNo": closed, "thirdServerCode": CLOSED})
    assert await reply(number, **{user: "user-2"}) == expected["mismatch"]
    assert await reply(number) == expected["reversed"]
    assert await reply(closed) == expected["not_applied"]
    assert await reply(unseen) == expected["never_received"]
    assert await reply(closed, **{own: f"C-{number}"}) == expected["number_reused"]
    without = {name: value for name, value in cancel.items() if name != remark}
    assert (await _reply(broker, path, without))["code"] == expected["malformed"]["code"]
    assert len(expected) == 6


def _field(body: dict[str, Any], value: str) -> str:
    return next(name for name, held in body.items() if held == value)


async def _reply(broker: Broker, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return await broker.post(path, body) | {"tm": 4}


def test_each_code_in_the_texts_is_one_of_the_examples() -> None:
    named = set(re.findall(r"US_\d{7}", TEXT))
    assert named == {each["code"] for path in PUBLISHED for each in replies_of(path).values()} - {"0"}
