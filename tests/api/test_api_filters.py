"""The list takes every filter, alone and with others, and refuses what it does not know, naming it."""

from datetime import timedelta
from typing import Any

import pytest

from settlement.states import State
from tests.api.doors import SETTLEMENTS, Door, accept
from tests.api.snapshots import stands
from tests.ledger.samples import NOON
from tests.support.orders import settlement
from tests.support.scripted import UNKNOWN


async def two(door: Door) -> tuple[str, str]:
    """Accept two settlements that differ in everything that can be searched by."""
    first = settlement(orderId=1, userName="user-1", currency="USD", accepted_at=NOON)
    second = settlement(orderId=2, userName="结算-2", currency="JPY", accepted_at=NOON + timedelta(seconds=1))
    second = second.model_copy(update={"company_id": -8})
    return (
        await accept(door.ledger, first, stands(first, State.CANCELLED)),
        await accept(door.ledger, second, stands(second, State.ABORTED)),
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
async def test_filter_leaves_what_fits(closed_door: Door, query: dict[str, Any]) -> None:
    _, second = await two(closed_door)
    answer = await closed_door.http.get(SETTLEMENTS, params=query)
    assert [each["requestUniqueNo"] for each in answer.json()["items"]] == [second]


@pytest.mark.parametrize("query", [{"cancelResult": "REVERSED"}, {"to": "2026-01-05T12:00:01.123456Z"}])
async def test_filter_leaves_the_other(closed_door: Door, query: dict[str, Any]) -> None:
    first, _ = await two(closed_door)
    answer = await closed_door.http.get(SETTLEMENTS, params=query)
    assert [each["requestUniqueNo"] for each in answer.json()["items"]] == [first]


async def test_filters_hold_on_every_page(closed_door: Door) -> None:
    orders = [settlement(userName="user-1" if each % 2 else "user-2", accepted_at=NOON) for each in range(7)]
    for order in orders:
        await accept(closed_door.ledger, order)
    found, query = [], {"userName": "user-1", "limit": "1"}
    while True:
        page = (await closed_door.http.get(SETTLEMENTS, params=query)).json()
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
async def test_broken_filter_is_named(closed_door: Door, name: str, value: object) -> None:
    answer = await closed_door.http.get(SETTLEMENTS, params={name: str(value)})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == [name]


async def test_a_currency_that_was_given_up_is_still_searched_for(closed_door: Door) -> None:
    """What was accepted once does not vanish with a change of ISO 4217."""
    answer = await closed_door.http.get(SETTLEMENTS, params={"currency": "XXZ"})
    assert (answer.status_code, answer.json()["items"]) == (200, [])


async def test_the_cause_is_told_and_searched_for_while_it_lasts(closed_door: Door) -> None:
    """One that has ended has no cause: what it last answered settled it."""
    orders = {state: settlement() for state in (State.ABORTED, State.CANCELLING, State.CANCELLED, State.EXPIRED)}
    for state, order in orders.items():
        await accept(closed_door.ledger, order, stands(order, state))
    found = (await closed_door.http.get(SETTLEMENTS, params={"cause": UNKNOWN.rule})).json()["items"]
    assert {(each["state"], each["cause"]) for each in found} == {
        ("ABORTED", UNKNOWN.rule),
        ("CANCELLING", UNKNOWN.rule),
    }
    assert (await closed_door.http.get(SETTLEMENTS, params={"cause": "OVERSIZED"})).json()["items"] == []
    everything = (await closed_door.http.get(SETTLEMENTS)).json()["items"]
    assert {each["state"]: each["cause"] for each in everything if each["state"] in {"CANCELLED", "EXPIRED"}} == {
        "CANCELLED": None,
        "EXPIRED": None,
    }
