"""The filters of the list, alone and combined. An unknown or invalid filter is rejected by name."""

from datetime import timedelta
from typing import Any

import pytest

from settlement.states import State
from tests.api.api_harness import SETTLEMENTS, ApiHarness, accept
from tests.api.snapshots import snapshot_in
from tests.ledger.samples import NOON
from tests.support.orders import settlement
from tests.support.scripted import UNKNOWN


async def two(api: ApiHarness) -> tuple[str, str]:
    """Accept two settlements that differ in every filter."""
    first = settlement(orderId=1, userName="user-1", currency="USD", accepted_at=NOON)
    second = settlement(orderId=2, userName="结算-2", currency="JPY", accepted_at=NOON + timedelta(seconds=1))
    second = second.model_copy(update={"company_id": -8})
    return (
        await accept(api.ledger, first, snapshot_in(first, State.CANCELLED)),
        await accept(api.ledger, second, snapshot_in(second, State.ABORTED)),
    )


@pytest.mark.parametrize(
    "query",
    [
        {"state": "ABORTED"},
        {"orderId": 2},
        {"userName": "结算-2"},
        {"companyId": -8},
        {"currency": "JPY"},
        {"from": "2026-01-05T12:00:01.123456Z"},
        {"from": "2026-01-05T17:45:01.123456+05:45"},
        {"state": "ABORTED", "companyId": -8, "currency": "JPY", "orderId": 2},
    ],
)
async def test_a_filter_returns_the_second_settlement(api_without_temporal: ApiHarness, query: dict[str, Any]) -> None:
    _, second = await two(api_without_temporal)
    answer = await api_without_temporal.http.get(SETTLEMENTS, params=query)
    assert [each["requestUniqueNo"] for each in answer.json()["items"]] == [second]


@pytest.mark.parametrize("query", [{"cancelResult": "REVERSED"}, {"to": "2026-01-05T12:00:01.123456Z"}])
async def test_a_filter_returns_the_first_settlement(api_without_temporal: ApiHarness, query: dict[str, Any]) -> None:
    first, _ = await two(api_without_temporal)
    answer = await api_without_temporal.http.get(SETTLEMENTS, params=query)
    assert [each["requestUniqueNo"] for each in answer.json()["items"]] == [first]


async def test_filters_apply_to_every_page(api_without_temporal: ApiHarness) -> None:
    orders = [settlement(userName="user-1" if each % 2 else "user-2", accepted_at=NOON) for each in range(7)]
    for order in orders:
        await accept(api_without_temporal.ledger, order)
    found, query = [], {"userName": "user-1", "limit": "1"}
    while True:
        page = (await api_without_temporal.http.get(SETTLEMENTS, params=query)).json()
        found += [each["requestUniqueNo"] for each in page["items"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert sorted(found) == sorted(each.adjust.requestUniqueNo for each in orders if each.adjust.userName == "user-1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "OPEN"),
        ("orderId", "1.5"),
        ("orderId", 2**63),
        ("userName", "a\0"),
        ("companyId", "x"),
        ("currency", "usd"),
        ("cancelResult", "DONE"),
        ("from", "yesterday"),
        ("from", "2026-01-05T12:00:00"),
        *(("from", number) for number in ("0", "0.5", "20260105", "1767614400", "1767614400000", "1e9")),
        ("to", "20260105"),
        *((name, value) for name in ("orderId", "limit") for value in ("1_0", "1.0", "+1", " 1", "1 ", "\u0661")),
        ("to", "0001-01-01T00:00:00+05:00"),
        ("order_id", 1),
        ("user", "user-1"),
    ],
)
async def test_an_invalid_filter_is_named(api_without_temporal: ApiHarness, name: str, value: object) -> None:
    answer = await api_without_temporal.http.get(SETTLEMENTS, params={name: str(value)})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == [name]


async def test_a_withdrawn_currency_is_still_a_valid_filter(api_without_temporal: ApiHarness) -> None:
    """A settlement stays searchable if ISO 4217 withdraws its currency."""
    answer = await api_without_temporal.http.get(SETTLEMENTS, params={"currency": "XXZ"})
    assert (answer.status_code, answer.json()["items"]) == (200, [])


async def test_the_cause_is_shown_and_filtered_while_the_settlement_is_open(api_without_temporal: ApiHarness) -> None:
    """A settlement that has ended has no cause."""
    orders = {state: settlement() for state in (State.ABORTED, State.CANCELLING, State.CANCELLED, State.EXPIRED)}
    for state, order in orders.items():
        await accept(api_without_temporal.ledger, order, snapshot_in(order, state))
    found = (await api_without_temporal.http.get(SETTLEMENTS, params={"cause": UNKNOWN.rule})).json()["items"]
    assert {(each["state"], each["cause"]) for each in found} == {
        ("ABORTED", UNKNOWN.rule),
        ("CANCELLING", UNKNOWN.rule),
    }
    assert (await api_without_temporal.http.get(SETTLEMENTS, params={"cause": "OVERSIZED"})).json()["items"] == []
    everything = (await api_without_temporal.http.get(SETTLEMENTS)).json()["items"]
    assert {each["state"]: each["cause"] for each in everything if each["state"] in {"CANCELLED", "EXPIRED"}} == {
        "CANCELLED": None,
        "EXPIRED": None,
    }
