"""The OpenAPI document is correct and complete. All tests of the API also check their responses against it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator, ValidationError

from contract.fields import INT64_MAX, INT64_MIN
from schemas.problems import STATUS_OF, ErrorCode
from settlement.states import State
from tests.api.api_harness import ApiHarness, accept, openapi_checker
from tests.api.invalid_orders import FIELDS, REQUIRED, RULES
from tests.api.openapi_checker import PROBLEM, OpenApiChecker
from tests.api.snapshots import full_audit_snapshot
from tests.support.orders import order, settlement

Schema = dict[str, Any]

ACCESS = {"unauthenticated", "forbidden", "rate-limited", "ledger-unavailable"}
"""Errors of every operation that requires a permission."""

PROBE = ("get", "/readyz")
"""Its 503 is a report for probes, not a problem."""


@pytest.fixture
def document(api_without_temporal: ApiHarness) -> Schema:
    whole: Schema = api_without_temporal.app.openapi()
    return whole


def operations(document: Schema) -> Iterator[tuple[tuple[str, str], Schema]]:
    """Yield each operation with its method and path."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield (method, path), operation


def schema_nodes(node: object) -> Iterator[Schema]:
    """Yield every object in the document."""
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from schema_nodes(child)
    elif isinstance(node, list):
        for child in node:
            yield from schema_nodes(child)


def resolved(document: Schema, schema: Schema) -> Schema:
    """Follow a reference inside the document."""
    while "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        schema = found
    return schema


def post_schema(document: Schema) -> Schema:
    """Return the schema of the body of a POST."""
    body = document["paths"]["/v1/settlements"]["post"]["requestBody"]
    assert body["required"] is True
    return resolved(document, body["content"]["application/json"]["schema"])


async def test_document_is_served_and_names_its_version(api_without_temporal: ApiHarness, document: Schema) -> None:
    served = (await api_without_temporal.http.get("/openapi.json")).json()
    assert served == json.loads(json.dumps(document))
    assert served["openapi"].startswith("3.1.")
    assert served["info"]["title"]
    assert served["info"]["version"]


def test_every_reference_resolves(document: Schema) -> None:
    references = [node for node in schema_nodes(document) if isinstance(node.get("$ref"), str)]
    assert references
    for node in references:
        assert resolved(document, node)


def test_every_schema_is_valid_and_used(document: Schema) -> None:
    used = {node["$ref"].rpartition("/")[2] for node in schema_nodes(document) if isinstance(node.get("$ref"), str)}
    assert set(document["components"]["schemas"]) == used
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_operation_has_a_unique_name_and_a_description(document: Schema) -> None:
    found = [operation for _, operation in operations(document)]
    names = [operation["operationId"] for operation in found]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] and operation["description"] for operation in found)


def test_every_response_has_a_description_and_its_body(document: Schema) -> None:
    for where, operation in operations(document):
        for status, response in operation["responses"].items():
            assert response["description"], (where, status)
            assert ("content" in response) is (status != "204"), (where, status)
            for media in response.get("content", {}).values():
                assert resolved(document, media["schema"]), (where, status)


def test_every_error_is_a_problem(document: Schema) -> None:
    for where, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and where != PROBE:
                assert list(response["content"]) == [PROBLEM], (where, status)
                assert response["content"][PROBLEM]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_problem_is_rfc_9457_with_our_codes(document: Schema) -> None:
    problem = document["components"]["schemas"]["Problem"]
    assert {"type", "title", "status", "code", "detail"} <= set(problem["required"])
    assert set(resolved(document, problem["properties"]["code"])["enum"]) == set(ErrorCode)


@pytest.mark.parametrize(
    ("operation", "codes"),
    [
        (
            ("post", "/v1/settlements"),
            {"validation-failed", "malformed-request", "body-too-large", "number-reused", "unsupported-media-type"}
            | {"company-forbidden", "number-taken", "too-many-waits-of-client"}
            | {"ledger-unavailable", "temporal-unavailable", "internal"},
        ),
        (("get", "/v1/settlements"), {"validation-failed", "ledger-unavailable", "internal"}),
        (
            ("get", "/v1/settlements/{requestUniqueNo}"),
            {"not-found", "number-ambiguous", "ledger-unavailable", "internal"},
        ),
        (
            ("post", "/v1/api-keys"),
            {"key-limit-reached", "validation-failed", "malformed-request", "body-too-large"}
            | {"unsupported-media-type", "internal"},
        ),
        (("get", "/v1/api-keys"), {"internal"}),
        (("get", "/v1/batch-retry-preview"), {"validation-failed", "internal"}),
        (("get", "/v1/batch-retries"), {"validation-failed", "internal"}),
        (
            ("post", "/v1/batch-retries"),
            {"company-forbidden", "selection-changed", "validation-failed", "malformed-request", "body-too-large"}
            | {"unsupported-media-type", "internal"},
        ),
        (("get", "/v1/batch-retries/{batchId}"), {"not-found", "internal"}),
        (("get", "/v1/batch-retries/{batchId}/items"), {"not-found", "validation-failed", "internal"}),
        (("post", "/v1/batch-retries/{batchId}/stop"), {"not-found", "internal"}),
        (("get", "/v1/exposure"), {"validation-failed", "ledger-unavailable", "internal"}),
        (
            ("get", "/v1/settlements/{requestUniqueNo}/explain"),
            {"not-found", "number-ambiguous", "ledger-unavailable", "internal"},
        ),
        (
            ("get", "/v1/settlements/{requestUniqueNo}/events"),
            {"not-found", "number-ambiguous", "validation-failed", "ledger-unavailable", "internal"}
            | {"too-many-streams", "too-many-streams-of-client"},
        ),
        (("post", "/v1/api-keys/{keyId}/revocation"), {"not-found", "internal"}),
        *(
            (
                ("post", f"/v1/settlements/{{requestUniqueNo}}/{act}"),
                {"not-found", "wrong-state", "validation-failed", "malformed-request", "body-too-large"}
                | {"unsupported-media-type", "number-ambiguous"}
                | {"ledger-unavailable", "temporal-unavailable", "workers-unavailable", "internal"},
            )
            for act in ("cancel-adjust-retries", "resolution")
        ),
    ],
)
def test_operation_documents_exactly_the_errors_it_can_answer(
    document: Schema, operation: tuple[str, str], codes: set[str]
) -> None:
    method, path = operation
    responses = document["paths"][path][method]["responses"]
    if "x-permission" in document["paths"][path][method]:
        codes = codes | ACCESS
    codes = codes | {"validation-failed"}
    errors = {status: response for status, response in responses.items() if int(status) >= 400}
    assert set(errors) == {str(int(STATUS_OF[ErrorCode(code)])) for code in codes}
    for code in codes:
        assert code in errors[str(int(STATUS_OF[ErrorCode(code)]))]["description"]


def test_a_post_has_exactly_the_fields_of_the_contract(document: Schema) -> None:
    schema = post_schema(document)
    assert set(schema["properties"]) == set(FIELDS)
    assert set(schema["required"]) == set(REQUIRED)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("field", "limits"),
    [
        ("thirdServerCode", {"type": "string", "minLength": 1, "maxLength": 256}),
        ("userName", {"type": "string", "minLength": 1, "maxLength": 48}),
        ("currency", {"type": "string", "maxLength": 16}),
        ("bizType", {"type": "integer", "enum": [1, 2, 10, 11, 12]}),
        ("operationType", {"type": "string", "enum": ["OPEN_POSITION", "NORMAL_CLOSE", "ABNORMAL_OVERTRADING"]}),
        ("amount", {"type": "string", "maxLength": 40}),
        ("amountDigits", {"type": "integer", "minimum": 0, "maximum": 18}),
        ("orderId", {"type": "integer", "minimum": INT64_MIN, "maximum": INT64_MAX, "format": "int64"}),
        ("requestUniqueNo", {"type": "string", "minLength": 1, "maxLength": 48}),
        ("requestTime", {"type": "integer", "minimum": 10**12, "maximum": 10**13 - 1, "format": "int64"}),
        ("ip", {"type": "string", "maxLength": 45}),
    ],
)
def test_post_field_has_the_contracts_limits(document: Schema, field: str, limits: Schema) -> None:
    schema = resolved(document, post_schema(document)["properties"][field])
    assert {name: schema.get(name) for name in limits} == limits


def test_metadata_is_text_of_at_most_200_characters_or_null(document: Schema) -> None:
    schema = post_schema(document)["properties"]["metadata"]
    kinds = {each["type"]: each for each in schema["anyOf"]}
    assert set(kinds) == {"string", "null"}
    assert kinds["string"]["maxLength"] == 200


@pytest.mark.parametrize("fields", [{}, {"metadata": "{}"}, {"amount": "-1", "operationType": "ABNORMAL_OVERTRADING"}])
def test_a_valid_order_matches_the_schema_of_a_post(document: Schema, fields: dict[str, Any]) -> None:
    OpenApiChecker(document).validate(post_schema(document), order(**fields))


@pytest.mark.parametrize("field", REQUIRED)
def test_the_schema_of_a_post_rejects_invalid_values(document: Schema, field: str) -> None:
    """A client that validates a body first finds most errors without a request."""
    schema = post_schema(document)
    expressible = {"null", "number", "true", "text", "list", "too long", "NUL", "exponent", "no order type"}
    for name, (value, _) in RULES[field].items():
        if name in expressible:
            with pytest.raises(ValidationError):
                OpenApiChecker(document).validate(schema, order() | {field: value})


def test_headers_are_documented_under_their_own_names(document: Schema) -> None:
    parameters = document["paths"]["/v1/settlements"]["post"]["parameters"]
    assert {(each["in"], each["name"].lower()) for each in parameters} == {
        ("header", "trace"),
        ("header", "companyid"),
        ("header", "prefer"),
    }
    assert not any(each.get("required") for each in parameters)


def test_query_of_the_list_is_documented_with_its_bounds(document: Schema) -> None:
    parameters = {each["name"]: each for each in document["paths"]["/v1/settlements"]["get"]["parameters"]}
    filters = {"requestUniqueNo", "state", "orderId", "userName", "companyId", "currency", "cancelResult", "cause"}
    assert set(parameters) == {*filters, "system", "from", "to", "cursor", "limit"}
    assert (parameters["limit"]["schema"]["minimum"], parameters["limit"]["schema"]["maximum"]) == (1, 200)


def test_states_are_named_in_the_resource(document: Schema) -> None:
    resource = document["components"]["schemas"]["Settlement"]
    assert set(resolved(document, resource["properties"]["state"])["enum"]) == set(State)
    assert set(resource["required"]) == set(resource["properties"])


async def test_the_largest_resource_matches_its_schema(api_without_temporal: ApiHarness, document: Schema) -> None:
    """Every test checks its responses; this response has a value in every field."""
    accepted = settlement(metadata="{}")
    number = await accept(api_without_temporal.ledger, accepted, full_audit_snapshot(accepted))
    schema = {"$ref": "#/components/schemas/Settlement"}
    body = (await api_without_temporal.get(number)).json()
    OpenApiChecker(document).validate(schema, body)
    for field in body:
        with pytest.raises(ValidationError):
            OpenApiChecker(document).validate(schema, {name: value for name, value in body.items() if name != field})


@pytest.mark.parametrize(
    ("status", "content", "why"),
    [
        (418, "{}", "documented"),
        (404, '{"title":"no problem"}', "type"),
        (404, '{"type":"x:y","title":"t","status":400,"code":"not-found","detail":"d"}', "400"),
    ],
)
def test_the_checker_detects_wrong_responses(status: int, content: str, why: str) -> None:
    """The checker must detect wrong responses."""
    request = httpx2.Request("GET", "http://api/v1/settlements/N-1")
    answer = httpx2.Response(status, headers={"content-type": PROBLEM}, content=content, request=request)
    with pytest.raises((AssertionError, ValidationError), match=why):
        openapi_checker().check(answer)
