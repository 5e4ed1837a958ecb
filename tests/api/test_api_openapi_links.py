"""What schemathesis needs of the document: valid links, and parameters that can be sent."""

from typing import Any

import pytest
from jsonschema import ValidationError

from contract.fields import INT64_MAX, INT64_MIN
from tests.api.api_harness import ApiHarness
from tests.api.batch_requests import VALID
from tests.api.openapi_checker import OpenApiChecker

Schema = dict[str, Any]


@pytest.fixture
def document(api_without_temporal: ApiHarness) -> Schema:
    whole: Schema = api_without_temporal.app.openapi()
    return whole


def operations(document: Schema) -> dict[str, Schema]:
    """Return every operation by its name."""
    return {each["operationId"]: each for methods in document["paths"].values() for each in methods.values()}


def links(document: Schema) -> list[tuple[str, str, Schema]]:
    """Return every link with the operation and the status that it stands under."""
    return [
        (name, status, link)
        for name, operation in operations(document).items()
        for status, response in operation["responses"].items()
        for link in response.get("links", {}).values()
    ]


def test_every_link_leads_to_an_operation_and_one_of_its_parameters(document: Schema) -> None:
    found = operations(document)
    for name, status, link in links(document):
        target = found[link["operationId"]]
        assert status.startswith("2"), name
        assert set(link["parameters"]) <= {parameter["name"] for parameter in target["parameters"]}, name


@pytest.mark.parametrize(
    ("operation", "targets"),
    [
        (
            "post_settlement",
            {
                "get_settlement",
                "get_settlement_events",
                "explain_settlement",
                "post_cancel_adjust_retry",
                "post_resolution",
            },
        ),
        ("post_batch_retry", {"get_batch_retry", "list_batch_items", "stop_batch_retry"}),
        ("post_api_key", {"revoke_api_key"}),
        ("list_settlements", {"list_settlements"}),
    ],
)
def test_every_successful_response_has_its_links(document: Schema, operation: str, targets: set[str]) -> None:
    for status, response in operations(document)[operation]["responses"].items():
        if status.startswith("2"):
            assert set(response["links"]) == targets


def test_no_parameter_can_be_null(document: Schema) -> None:
    """No query, no header and no path can say it; who sent the text `null` would be refused."""
    for name, operation in operations(document).items():
        for parameter in operation.get("parameters", []):
            assert "null" not in str(parameter["schema"]), (name, parameter["name"])


def test_every_integer_in_a_parameter_has_bounds(document: Schema) -> None:
    for name, operation in operations(document).items():
        for parameter in operation.get("parameters", []):
            schema = parameter["schema"]
            if schema.get("type") == "integer":
                bounds = (schema["minimum"], schema["maximum"])
                assert all(type(bound) is int and INT64_MIN <= bound <= INT64_MAX for bound in bounds), (name, schema)


@pytest.mark.parametrize("selection", [{}, {"companyId": None}, {"cause": None, "from": None}])
def test_the_schema_of_a_batch_rejects_an_empty_selection(document: Schema, selection: Schema) -> None:
    with pytest.raises(ValidationError):
        OpenApiChecker(document).validate(
            {"$ref": "#/components/schemas/BatchRetryRequest"}, VALID | {"selection": selection}
        )


@pytest.mark.parametrize("selection", [{"companyId": 7}, {"to": "2026-01-05T12:00:00Z", "companyId": None}])
def test_the_schema_of_a_batch_accepts_one_filter(document: Schema, selection: Schema) -> None:
    OpenApiChecker(document).validate(
        {"$ref": "#/components/schemas/BatchRetryRequest"}, VALID | {"selection": selection}
    )


@pytest.mark.parametrize("text", ["a\nb", "\x00", "\x7f", "a\x9f"])
def test_the_schema_of_an_order_rejects_control_characters(document: Schema, text: str) -> None:
    schema = document["components"]["schemas"]["AdjustRequest"]["properties"]["userName"]
    with pytest.raises(ValidationError):
        OpenApiChecker(document).validate(schema, text)
