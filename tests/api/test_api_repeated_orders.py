"""A repeated number: the same order returns its settlement, another order is rejected."""

import asyncio
import json
from typing import Any

import pytest

from settlement.start import SettlementInput
from settlement.states import State
from tests.api.api_harness import ApiHarness, accept
from tests.api.snapshots import snapshot_in
from tests.support.orders import order, settlement
from tests.support.scripted import APPLIED, REJECTED, Gate, ScriptedExternalSystem

ANOTHER: dict[str, Any] = {
    "thirdServerCode": "customer-8",
    "userName": "user-8",
    "currency": "EUR",
    "bizType": 10,
    "operationType": "NORMAL_CLOSE",
    "amount": "12.51",
    "orderId": 4712,
}
"""Another valid value for each field that makes it another order."""
SAME: dict[str, dict[str, Any]] = {
    "fresh clock": {"requestTime": 1_770_000_000_000},
    "another address": {"ip": "203.0.113.8"},
    "amount spelled otherwise": {"amount": "12.5"},
    "more decimals": {"amount": "12.5000", "amountDigits": 4},
    "remarks": {"metadata": '{"note": "again"}'},
}
"""Differences that a repeated order may have."""

COMPANY = {"companyId": "7"}


async def decided(api: ApiHarness, state: State = State.SETTLED, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - passed on as it is
    """Write a decided settlement and return the body that it was posted with; its company is 7."""
    accepted = settlement(**fields)
    await accept(api.ledger, accepted, snapshot_in(accepted, state))
    return body_of(accepted)


def body_of(accepted: SettlementInput) -> dict[str, Any]:
    """Return what was posted."""
    return accepted.adjust.model_dump(mode="json", exclude_none=True)


@pytest.mark.parametrize("state", [state for state in State if state is not State.ADJUSTING])
async def test_repeat_is_answered_from_the_ledger_without_temporal(
    api_without_temporal: ApiHarness, state: State
) -> None:
    """The ledger's idempotency outlives Temporal's retention, and its outages."""
    body = await decided(api_without_temporal, state)
    answer = await api_without_temporal.post(body, **COMPANY)
    assert answer.status_code == 200
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.headers["location"] == f"/v1/settlements/{body['requestUniqueNo']}?system=default"
    assert "retry-after" not in answer.headers
    assert answer.json() == (await api_without_temporal.get(body["requestUniqueNo"])).json()
    assert len(await api_without_temporal.accepted_numbers()) == 1


@pytest.mark.parametrize("changed", ANOTHER)
async def test_another_order_under_the_number_is_rejected_with_its_differences(
    api_without_temporal: ApiHarness, changed: str
) -> None:
    body = await decided(api_without_temporal)
    before = (await api_without_temporal.get(body["requestUniqueNo"])).json()
    answer = await api_without_temporal.post(body | {changed: ANOTHER[changed]}, **COMPANY)
    assert (answer.status_code, answer.json()["code"]) == (409, "number-reused")
    assert answer.headers["location"] == f"/v1/settlements/{body['requestUniqueNo']}?system=default"
    assert (await api_without_temporal.get(body["requestUniqueNo"])).json() == before
    assert [each["field"] for each in answer.json()["errors"]] == [changed]
    assert "at Location, is the valid one" in answer.json()["detail"]


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
async def test_retry_of_the_same_order_is_the_same_request(
    api_without_temporal: ApiHarness, changes: dict[str, Any]
) -> None:
    """InvalidValues, it would lead the caller to a second adjust under another number."""
    body = await decided(api_without_temporal)
    answer = await api_without_temporal.post(body | changes, **COMPANY)
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (200, "true")
    assert answer.json() == (await api_without_temporal.get(body["requestUniqueNo"])).json()


async def test_retry_of_a_deduction_is_the_same_request(api_without_temporal: ApiHarness) -> None:
    body = await decided(api_without_temporal, operationType="ABNORMAL_OVERTRADING", amount="-3.50")
    answer = await api_without_temporal.post(body | {"amount": "-3.5", "requestTime": 1_770_000_000_000}, **COMPANY)
    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{}, {"companyId": "8"}, {"companyId": "0"}, {"companyId": "-7"}])
async def test_another_company_under_the_number_is_rejected(
    api_without_temporal: ApiHarness, headers: dict[str, str]
) -> None:
    """Its resource must not be shown to the other one either."""
    answer = await api_without_temporal.post(await decided(api_without_temporal), **headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "number-reused")
    assert "PROCEED" not in answer.text


@pytest.mark.parametrize("headers", [{"trace": "another"}, {"prefer": "wait=1"}, {"prefer": "nonsense"}, {"x-a": "b"}])
async def test_other_headers_are_not_a_difference(api_without_temporal: ApiHarness, headers: dict[str, str]) -> None:
    answer = await api_without_temporal.post(await decided(api_without_temporal), **COMPANY, **headers)
    assert answer.status_code == 200
    assert answer.json()["trace"] == "trace-7"


async def test_null_metadata_is_no_metadata(api_without_temporal: ApiHarness) -> None:
    answer = await api_without_temporal.post(await decided(api_without_temporal) | {"metadata": None}, **COMPANY)
    assert answer.status_code == 200


def rewritten(body: dict[str, Any]) -> dict[str, str]:
    """Return other texts of the same JSON object."""
    return {
        "keys backwards": json.dumps(dict(reversed(body.items()))),
        "indented": json.dumps(body, indent=4),
        "no blanks": json.dumps(body, separators=(",", ":")),
        "escaped": json.dumps(body).replace("user-7", "\\u0075ser\\u002d7"),
        "company as a padded number": json.dumps(body).replace("4711", " 4711 "),
    }


@pytest.mark.parametrize("form", rewritten({}))
async def test_another_text_of_the_same_json_is_no_conflict(api_without_temporal: ApiHarness, form: str) -> None:
    text = rewritten(await decided(api_without_temporal))[form]
    assert (await api_without_temporal.post_raw(text.encode(), **COMPANY)).status_code == 200


@pytest.mark.parametrize("adjust", [APPLIED, REJECTED], ids=["PROCEED", "VOID"])
async def test_first_response_repeat_and_get_return_the_same_resource(api: ApiHarness, adjust: Any) -> None:  # noqa: ANN401 - passed on as it is
    """A decision that a POST has given is in the ledger before the answer is out."""
    body = order()
    gate = Gate(APPLIED)
    external = ScriptedExternalSystem(adjust=adjust, cancels=[gate])
    async with api.workers(external):
        first = await api.post(body, prefer="wait=10")
        read = await api.get(body["requestUniqueNo"])
        repeat = await api.post(body, prefer="wait=10")
        gate.opened.set()
        await api.wait_for_state(body["requestUniqueNo"], State.SETTLED if adjust is APPLIED else State.CANCELLED)
    assert (first.status_code, repeat.status_code) == (201, 200)
    assert "idempotent-replayed" not in first.headers
    assert first.json() == read.json() == repeat.json()


async def test_concurrent_equal_orders_get_one_settlement(api: ApiHarness) -> None:
    """Exactly one response says that the order is new; all have the same decision; the broker gets one adjust."""
    body = order()
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with api.workers(external):
        answers = await asyncio.gather(*(api.post(body, prefer="wait=60") for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert {answer.json()["decision"] for answer in answers} == {"PROCEED"}
    assert len({answer.json()["trace"] for answer in answers}) == 1
    assert len(external.adjusts) == 1


async def test_of_two_different_concurrent_orders_one_is_rejected(api: ApiHarness) -> None:
    body = order()
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with api.workers(external):
        answers = await asyncio.gather(
            *(api.post(body | {"orderId": number}, prefer="wait=20") for number in (1, 2) for _ in range(5))
        )
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [201] + [409] * 5
    assert len(external.adjusts) == 1
