"""The API for schemathesis, and the valid-looking requests that it may reject."""

from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from schemathesis import Response

from api.app import create_app
from settlement.broker_statement import LINES_PER_REQUEST_MAX
from settlement.keys import Permission
from settlement.snapshot import SettlementEvent
from tests.fuzz.attack import (
    NEGATIVE,
    POSITIVE,
    RESPONSE_SCHEMA,
    Attack,
    Case,
    has_blank_parameter,
    has_integer_with_a_fraction,
    schema_of,
)
from tests.fuzz.service import Service

if TYPE_CHECKING:
    from api.services import Services

SCHEMA = schema_of(create_app(cast("Services", None)).openapi())

CURRENCIES = {f"lines.{position}.currency" for position in range(LINES_PER_REQUEST_MAX)}
BEYOND_THE_SCHEMA = {
    # The list of ISO 4217; sign and decimals that depend on other fields; an IP address; JSON in a text.
    "POST /v1/settlements": {"currency", "amount", "ip", "metadata"},
    # A cursor is opaque.
    "GET /v1/settlements": {"cursor"},
    # OpenAPI cannot express that one of several parameters is required.
    "GET /v1/batch-retry-preview": {"query"},
    # Reserved names.
    "POST /v1/api-keys": {"client"},
    # The end of a period is after its begin, and not in the future; the system is in the configuration.
    "POST /v1/statements": {"body", "endsAt", "system"},
    # The list of ISO 4217.
    "POST /v1/statements/{statementId}/lines": CURRENCIES,
}
"""Fields with rules that a schema cannot express. A request that breaks only these looks valid and is rejected."""


def exemptions(case: Case, response: Response) -> list[object]:
    """Return the checks that do not apply: a rejection by a rule that the document cannot express is correct."""
    if response.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
        exempt: list[object] = [NEGATIVE] if has_blank_parameter(case, response) else []
        if response.status_code == HTTPStatus.OK and case.operation.label.endswith("/events"):
            check_events(response.text)
            exempt.append(RESPONSE_SCHEMA)
        return exempt
    named = {error["field"] for error in response.json()["errors"]}
    beyond = named <= BEYOND_THE_SCHEMA.get(case.operation.label, set()) | currencies_of_sums(case.body)
    return [POSITIVE] if beyond or has_integer_with_a_fraction(case.body) else []


def currencies_of_sums(body: object) -> set[str]:
    """Return the fields of the currencies in `sumsMax`, which are keys: the list of ISO 4217 is beyond the schema."""
    sums = body.get("sumsMax") if isinstance(body, dict) else None
    return {f"sumsMax.{currency}.[key]" for currency in sums} if isinstance(sums, dict) else set()


def check_events(stream: str) -> None:
    """Check each event. schemathesis could do this only with the stream schema of OpenAPI 3.2."""
    events = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    for event in events:
        SettlementEvent.model_validate_json(event)


def api_attack(service: Service) -> Attack:
    """Return an attack with the required key for every operation."""

    def headers_of(case: Case) -> dict[str, str]:
        permission = case.operation.definition.raw.get("x-permission")
        return service.bearer(Permission(permission)) if permission else {}

    return Attack(service.url, headers_of, exemptions)
