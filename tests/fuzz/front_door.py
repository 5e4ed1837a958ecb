"""The front door as schemathesis sees it, and what it may refuse although it looks valid."""

from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from schemathesis import Response

from api.app import create_app
from settlement.keys import Permission
from settlement.snapshot import SettlementEvent
from tests.fuzz.attack import (
    NEGATIVE,
    POSITIVE,
    SCHEMA_OF_ANSWER,
    Attack,
    Case,
    described,
    has_blank_parameter,
    has_integer_with_a_fraction,
)
from tests.fuzz.service import Service

if TYPE_CHECKING:
    from api.services import Services

SCHEMA = described(create_app(cast("Services", None)).openapi())

BEYOND_THE_SCHEMA = {
    # ISO 4217's list, the sign and the decimals that other fields call for, an address, JSON within a text.
    "POST /v1/settlements": {"currency", "amount", "ip", "metadata"},
    # A cursor is opaque.
    "GET /v1/settlements": {"cursor"},
    # OpenAPI cannot say that one of several parameters must be there.
    "GET /v1/batch-retry-preview": {"query"},
    # Names that acts without a key are audited under.
    "POST /v1/api-keys": {"owner"},
}
"""Fields with rules that a schema cannot express: what breaks only these looks valid, and is refused all the same."""


def excused(case: Case, response: Response) -> list[object]:
    """Excuse a refusal of what looks valid where it is for a rule that the document cannot express."""
    if response.status_code == HTTPStatus.OK and case.operation.label.endswith("/events"):
        hold_events(response.text)
        return [SCHEMA_OF_ANSWER]
    if response.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
        return [NEGATIVE] if has_blank_parameter(case) else []
    named = {error["field"] for error in response.json()["errors"]}
    beyond = named <= BEYOND_THE_SCHEMA.get(case.operation.label, set())
    return [POSITIVE] if beyond or has_integer_with_a_fraction(case.body) else []


def hold_events(stream: str) -> None:
    """Check each event by itself. schemathesis does so too, by the stream's schema, as only OpenAPI 3.2 has it."""
    events = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    for event in events:
        SettlementEvent.model_validate_json(event)


def front_door(service: Service) -> Attack:
    """Return an attacker with a key for every operation that asks for one."""

    def headers_of(case: Case) -> dict[str, str]:
        permission = case.operation.definition.raw.get("x-permission")
        return service.bearer(Permission(permission)) if permission else {}

    return Attack(service.url, headers_of, excused)
