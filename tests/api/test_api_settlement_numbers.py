"""The API accepts every number that the contract allows, and every route finds it."""

import pytest

from contract.path_segments import segment_of
from settlement.states import State
from tests.api.api_harness import SETTLEMENTS, ApiHarness, accept
from tests.api.snapshots import snapshot_in
from tests.api.sockets import exchange, head, served
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
async def test_number_is_accepted_and_found_on_every_route(api_without_temporal: ApiHarness, number: str) -> None:
    accepted = settlement(requestUniqueNo=number)
    await accept(api_without_temporal.ledger, accepted, snapshot_in(accepted, State.SETTLED))
    body = accepted.adjust.model_dump(mode="json", exclude_none=True)
    repeat = await api_without_temporal.post(body, companyId="7")
    assert repeat.status_code == 200
    at = repeat.headers["location"]
    resource = f"{SETTLEMENTS}/{segment_of(number)}"
    assert at == f"{resource}?system=default"
    for path in (at, resource, f"{resource}/explain"):
        answer = await api_without_temporal.http.get(path)
        assert (answer.status_code, answer.json()["requestUniqueNo"]) == (200, number)
    assert (
        await api_without_temporal.http.get(f"{resource}/events", headers={"last-event-id": "9"})
    ).status_code == 204
    act = {"reasonCode": "OTHER", "note": "n", "brokerReference": "r"}
    refused = await api_without_temporal.http.post(f"{resource}/resolution", json=act)
    assert refused.json()["code"] in {"wrong-state", "temporal-unavailable"}


@pytest.mark.parametrize("number", NUMBERS)
async def test_the_list_can_be_filtered_by_number(api_without_temporal: ApiHarness, number: str) -> None:
    for each in (number, "another"):
        await accept(api_without_temporal.ledger, settlement(requestUniqueNo=each))
    page = (await api_without_temporal.http.get(SETTLEMENTS, params={"requestUniqueNo": number})).json()
    assert [each["requestUniqueNo"] for each in page["items"]] == [number]


async def test_similar_numbers_are_different_settlements(api_without_temporal: ApiHarness) -> None:
    """Numbers are not trimmed, case-folded or normalised: not in the path, the list or the ledger."""
    alike = ["A", "a", "A ", " A", "\u00e9", "e\u0301", "\uff21"]
    for index, number in enumerate(alike):
        await accept(api_without_temporal.ledger, settlement(requestUniqueNo=number, orderId=index))
    for index, number in enumerate(alike):
        found = (await api_without_temporal.http.get(f"{SETTLEMENTS}/{segment_of(number)}")).json()
        page = (await api_without_temporal.http.get(SETTLEMENTS, params={"requestUniqueNo": number})).json()
        assert found["order"]["orderId"] == index
        assert [each["order"]["orderId"] for each in page["items"]] == [index]


async def test_pages_contain_all_numbers(api_without_temporal: ApiHarness) -> None:
    first = settlement()
    for number in NUMBERS:
        same_moment = settlement(requestUniqueNo=number, accepted_at=first.accepted_at)
        await accept(api_without_temporal.ledger, same_moment)
    found: list[str] = []
    query = {"limit": str(PAGE)}
    while True:
        page = (await api_without_temporal.http.get(SETTLEMENTS, params=query)).json()
        found += [each["requestUniqueNo"] for each in page["items"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert sorted(found) == sorted(NUMBERS)


@pytest.mark.parametrize("segment", ["%FF", "%00", "a%0A", "%7F", "%7Fa", "%C2%85", "N" * 49])
async def test_a_path_that_encodes_no_number_is_not_found(api_without_temporal: ApiHarness, segment: str) -> None:
    await accept(api_without_temporal.ledger, settlement(requestUniqueNo="\ufffd"))
    answer = await api_without_temporal.http.get(f"{SETTLEMENTS}/{segment}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(("segment", "number"), [("%2e%2e", ".."), ("..", ".."), ("a%2fb", "a/b"), ("%252F", "%2F")])
async def test_the_path_is_decoded_once(api_without_temporal: ApiHarness, segment: str, number: str) -> None:
    await accept(api_without_temporal.ledger, settlement(requestUniqueNo=number))
    async with served(api_without_temporal.app) as port:
        answer = await exchange(port, head("GET", f"{SETTLEMENTS}/{segment}"))
    assert (answer.status, answer.json()["requestUniqueNo"]) == (200, number)


@pytest.mark.parametrize("number", ["a/b #?%\u8ba2 ", "..", "'\"`<b>"])
async def test_a_settlement_with_any_number_is_executed(api: ApiHarness, number: str) -> None:
    """With a real Temporal, under the workflow id derived from the number."""
    async with api.workers(ScriptedExternalSystem(adjust=APPLIED)):
        answer = await api.post(order(requestUniqueNo=number), prefer="wait=20")
    assert (answer.status_code, answer.json()["state"]) == (201, "SETTLED")
