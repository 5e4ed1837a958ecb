"""The simulator responds as its OpenAPI document says to every request that is generated from it."""

from collections.abc import Iterator
from http import HTTPStatus

import httpx2
import pytest
from schemathesis import Response

from simulator.app import create_app
from simulator.replies import CODE_BROKEN_RULE
from simulator.server import serving
from simulator.service import SimulatorSettings
from tests.fuzz.attack import (
    MISSING_HEADER,
    NEGATIVE,
    POSITIVE,
    Attack,
    Case,
    SequenceHooks,
    has_blank_parameter,
    has_integer_with_a_fraction,
    run_sequences,
    schema_of,
)

pytestmark = pytest.mark.longer("fuzzing")

SCHEMA = schema_of(create_app(SimulatorSettings()).openapi())
CONTRACT = {
    f"POST {path}"
    for path in (
        SimulatorSettings.adjust_path,
        SimulatorSettings.cancel_adjust_path,
        SimulatorSettings.cancel_operation_path,
    )
}

READS = ("GET /simulator/numbers/{number}", "GET /simulator/calls")


def exemptions(case: Case, response: Response) -> list[object]:
    """Return the checks that do not apply: in the contract, a broker rejects with 200 and a code.

    See docs/contract.md#table-4.
    """
    if response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY and has_integer_with_a_fraction(case.body):
        return [POSITIVE]
    if case.operation.label in CONTRACT and response.status_code == HTTPStatus.OK:
        return [NEGATIVE, MISSING_HEADER] if response.json()["code"] == CODE_BROKEN_RULE else []
    return [NEGATIVE] if has_blank_parameter(case, response) else []


@pytest.fixture(scope="module")
def attack() -> Iterator[Attack]:
    with serving() as url:
        yield Attack(url, exemptions=exemptions)


@pytest.fixture(scope="module")
def http(attack: Attack) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=attack.url) as client:
        yield client


@SCHEMA.exclude(path="/simulator/outage").parametrize()
def test_response_is_as_documented(case: Case, attack: Attack) -> None:
    attack.send(case)


@SCHEMA.include(path="/simulator/outage").parametrize()
def test_response_about_outages_is_as_documented(case: Case, attack: Attack, http: httpx2.Client) -> None:
    """Each outage ends before the next request, which would otherwise get no response."""
    try:
        attack.send(case)
    finally:
        ended = http.put("/simulator/outage", json={"mode": "off"})
    assert ended.json() == {"outages": []}


def test_links_lead_where_they_say(attack: Attack) -> None:
    """The effect of an operation can be read at once under its number."""
    hooks = SequenceHooks()
    run_sequences(SCHEMA.exclude(path="/simulator/outage"), CONTRACT, attack, hooks)
    assert {(operation, HTTPStatus.OK) for operation in (*CONTRACT, *READS)} <= hooks.responses
