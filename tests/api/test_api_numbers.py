"""The front door accepts every number that the contract allows, and finds it again on every route."""

import pytest

from contract.path_segments import segment_of
from settlement.states import State
from tests.api.doors import SETTLEMENTS, Door, accept
from tests.api.snapshots import stands
from tests.api.wire import exchange, head, served
from tests.support.orders import order, settlement
from tests.support.scripted import APPLIED, ScriptedExternalSystem

NUMBERS = [
    " ",
    " a ",
    "a/b",
    "//",
    "a/events",
    ".",
    "..",
    "../healthz",
    "%2F",
    "100%",
    "a?b=c",
    "a#b",
    "-1",
    "a,b;c",
    "a\\b'c\"d`e",
    "\u00e9",
    "e\u0301",
    "\u8ba2\u5355",
    "a\u2028b",
    "\U0001f4b6" * 48,
]
PAGE = 7


@pytest.mark.parametrize("number", NUMBERS)
async def test_number_is_accepted_and_found_on_every_route(closed_door: Door, number: str) -> None:
    accepted = settlement(requestUniqueNo=number)
    await accept(closed_door.ledger, accepted, stands(accepted, State.SETTLED))
    body = accepted.adjust.model_dump(mode="json", exclude_none=True)
    repeat = await closed_door.post(body, companyId="7")
    assert repeat.status_code == 200
    at = repeat.headers["location"]
    assert at == f"{SETTLEMENTS}/{segment_of(number)}"
    for path in (at, f"{at}/explain"):
        answer = await closed_door.http.get(path)
        assert (answer.status_code, answer.json()["requestUniqueNo"]) == (200, number)
    assert (await closed_door.http.get(f"{at}/events", headers={"last-event-id": "9"})).status_code == 204
    act = {"reasonCode": "OTHER", "note": "n", "brokerReference": "r"}
    refused = await closed_door.http.post(f"{at}/resolution", json=act)
    assert refused.json()["code"] in {"wrong-state", "temporal-unavailable"}


@pytest.mark.parametrize("number", NUMBERS)
async def test_list_can_be_asked_for_a_number(closed_door: Door, number: str) -> None:
    for each in (number, "another"):
        await accept(closed_door.ledger, settlement(requestUniqueNo=each))
    page = (await closed_door.http.get(SETTLEMENTS, params={"requestUniqueNo": number})).json()
    assert [each["requestUniqueNo"] for each in page["items"]] == [number]


async def test_similar_numbers_are_different_settlements(closed_door: Door) -> None:
    """Nothing is trimmed, folded or normalised, in the path, in the list, and in the ledger."""
    alike = ["A", "a", "A ", " A", "\u00e9", "e\u0301", "\uff21"]
    for index, number in enumerate(alike):
        await accept(closed_door.ledger, settlement(requestUniqueNo=number, orderId=index))
    for index, number in enumerate(alike):
        found = (await closed_door.http.get(f"{SETTLEMENTS}/{segment_of(number)}")).json()
        page = (await closed_door.http.get(SETTLEMENTS, params={"requestUniqueNo": number})).json()
        assert found["order"]["orderId"] == index
        assert [each["order"]["orderId"] for each in page["items"]] == [index]


async def test_pages_lead_through_all_numbers(closed_door: Door) -> None:
    first = settlement()
    for number in NUMBERS:
        same_moment = settlement(requestUniqueNo=number, accepted_at=first.accepted_at)
        await accept(closed_door.ledger, same_moment)
    found: list[str] = []
    query = {"limit": str(PAGE)}
    while True:
        page = (await closed_door.http.get(SETTLEMENTS, params=query)).json()
        found += [each["requestUniqueNo"] for each in page["items"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert sorted(found) == sorted(NUMBERS)


@pytest.mark.parametrize("segment", ["%FF", "%00", "a%0A", "%7F", "%7Fa", "%C2%85", "N" * 49])
async def test_path_that_no_number_has_is_not_found(closed_door: Door, segment: str) -> None:
    await accept(closed_door.ledger, settlement(requestUniqueNo="\ufffd"))
    answer = await closed_door.http.get(f"{SETTLEMENTS}/{segment}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(("segment", "number"), [("%2e%2e", ".."), ("..", ".."), ("a%2fb", "a/b"), ("%252F", "%2F")])
async def test_path_is_read_as_it_came_over_the_wire(closed_door: Door, segment: str, number: str) -> None:
    await accept(closed_door.ledger, settlement(requestUniqueNo=number))
    async with served(closed_door.app) as port:
        answer = await exchange(port, head("GET", f"{SETTLEMENTS}/{segment}"))
    assert (answer.status, answer.json()["requestUniqueNo"]) == (200, number)


@pytest.mark.parametrize("number", ["a/b #?%\u8ba2 ", "..", "'\"`<b>"])
async def test_settlement_with_any_number_is_carried_out(door: Door, number: str) -> None:
    """By a real Temporal, under the workflow id that is made of it."""
    async with door.workers(ScriptedExternalSystem(adjust=APPLIED)):
        answer = await door.post(order(requestUniqueNo=number), prefer="wait=20")
    assert (answer.status_code, answer.json()["state"]) == (201, "SETTLED")
