"""The list: keyset pages, newest first, without repeats or gaps. Invalid cursors, limits and filters are rejected."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from ledger.settlements import PAGE_LIMIT_MAX
from settlement.states import State
from tests.api.api_harness import SETTLEMENTS, ApiHarness, accept
from tests.api.snapshots import snapshot_in
from tests.support.orders import settlement

START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
MOMENT = START.isoformat()


async def accept_many(api: ApiHarness, count: int, *, per_moment: int = 1, state: State | None = None) -> list[str]:
    """Accept settlements, some at the same time; return their numbers in the order of the list."""
    accepted = []
    for each in range(count):
        one = settlement(accepted_at=START + timedelta(microseconds=each // per_moment))
        await accept(api.ledger, one, snapshot_in(one, state) if state else None)
        accepted.append((one.accepted_at, one.adjust.requestUniqueNo))
    return [number for _, number in sorted(accepted, reverse=True)]


async def read_pages(api: ApiHarness, **query: str | int) -> list[list[str]]:
    """Follow the cursors to the end."""
    pages = []
    cursor: str | None = None
    while True:
        answer = await api.http.get(SETTLEMENTS, params={**query, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200
        pages.append([item["requestUniqueNo"] for item in answer.json()["items"]])
        cursor = answer.json()["nextCursor"]
        if cursor is None:
            return pages


def cursor_of(content: object) -> str:
    """Return a cursor with this content."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(("limit", "lengths"), [(1, [1] * 7), (3, [3, 3, 1]), (6, [6, 1]), (7, [7]), (200, [7])])
@pytest.mark.parametrize("per_moment", [1, 3, 7])
async def test_pages_show_every_settlement_once_newest_first(
    api_without_temporal: ApiHarness, limit: int, lengths: list[int], per_moment: int
) -> None:
    """Settlements with the same time are ordered by their numbers, also across pages."""
    numbers = await accept_many(api_without_temporal, 7, per_moment=per_moment)
    pages = await read_pages(api_without_temporal, limit=limit)
    assert [len(page) for page in pages] == lengths
    assert [number for page in pages for number in page] == numbers


async def test_nothing_accepted_is_one_empty_page(api_without_temporal: ApiHarness) -> None:
    assert await read_pages(api_without_temporal) == [[]]


async def test_a_page_has_50_items_by_default(api_without_temporal: ApiHarness) -> None:
    await accept_many(api_without_temporal, 51)
    assert [len(page) for page in await read_pages(api_without_temporal)] == [50, 1]


async def test_a_settlement_accepted_between_pages_shifts_and_repeats_none(api_without_temporal: ApiHarness) -> None:
    numbers = await accept_many(api_without_temporal, 4)
    first = (await api_without_temporal.http.get(SETTLEMENTS, params={"limit": 2})).json()
    await accept(api_without_temporal.ledger, settlement())
    second = (
        await api_without_temporal.http.get(SETTLEMENTS, params={"limit": 2, "cursor": first["nextCursor"]})
    ).json()
    assert [item["requestUniqueNo"] for item in first["items"] + second["items"]] == numbers


async def test_a_cursor_can_be_used_again(api_without_temporal: ApiHarness) -> None:
    """The same cursor returns the same page again."""
    await accept_many(api_without_temporal, 4)
    cursor = (await api_without_temporal.http.get(SETTLEMENTS, params={"limit": 2})).json()["nextCursor"]
    answers = [
        await api_without_temporal.http.get(SETTLEMENTS, params={"limit": 2, "cursor": cursor}) for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize("state", State)
async def test_state_filter_shows_that_state_and_no_other(api_without_temporal: ApiHarness, state: State) -> None:
    wanted: list[str] = []
    for each in State:
        numbers = await accept_many(api_without_temporal, 3, state=None if each is State.ADJUSTING else each)
        wanted = numbers if each is state else wanted
    pages = await read_pages(api_without_temporal, state=state.value, limit=2)
    assert [number for page in pages for number in page] == wanted


async def test_item_is_the_resource_that_get_shows(api_without_temporal: ApiHarness) -> None:
    accepted = settlement()
    number = await accept(api_without_temporal.ledger, accepted, snapshot_in(accepted, State.ABORTED))
    listed = (await api_without_temporal.http.get(SETTLEMENTS)).json()["items"]
    assert listed == [(await api_without_temporal.get(number)).json()]


GARBAGE = {
    "word": "garbage",
    "punctuation": "!!!!",
    "beyond ASCII": "\u00e9\u00e9\u00e9\u00e9",
    "NUL": "\x00",
    "cut off": cursor_of([MOMENT, "N-1"])[:-5],
    "no base64 length": "A",
    "binary": base64.urlsafe_b64encode(b"\xff\xfe\x00").decode(),
    "null": cursor_of(None),
    "number": cursor_of(7),
    "text of two": cursor_of("ab"),
    "object of two": cursor_of({"a": 1, "b": 2}),
    "empty list": cursor_of([]),
    "one element": cursor_of([MOMENT]),
    "three elements": cursor_of([MOMENT, "N-1", 1]),
    "no moment": cursor_of(["yesterday", "N-1"]),
    "epoch": cursor_of([1_767_605_400, "N-1"]),
    "moment without a zone": cursor_of(["2026-01-05T09:30:00", "N-1"]),
    "moment before all time": cursor_of(["0001-01-01T00:00:00+14:00", "N-1"]),
    "moment after all time": cursor_of(["9999-12-31T23:59:59-14:00", "N-1"]),
    "number is none": cursor_of([MOMENT, 7]),
    "number is null": cursor_of([MOMENT, None]),
    "number with NUL": cursor_of([MOMENT, "N\x00"]),
    "number with a lone surrogate": cursor_of([MOMENT, "N\ud800"]),
    "deep": cursor_of([[[[[[[]]]]]]]),
    "too long": cursor_of([MOMENT, "N" * 300]),
}


@pytest.mark.parametrize("cursor", GARBAGE.values(), ids=GARBAGE)
async def test_an_invalid_cursor_is_rejected(api_without_temporal: ApiHarness, cursor: str) -> None:
    await accept(api_without_temporal.ledger, settlement())
    answer = await api_without_temporal.http.get(SETTLEMENTS, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == ["cursor"]


@pytest.mark.parametrize("cursor", [cursor_of(["9" * 5000, "N-1"]), cursor_of([MOMENT, "N" * 5000])])
async def test_cursor_is_not_echoed(api_without_temporal: ApiHarness, cursor: str) -> None:
    answer = await api_without_temporal.http.get(SETTLEMENTS, params={"cursor": cursor})
    assert answer.status_code == 422
    assert len(answer.text) < 500


@pytest.mark.parametrize("limit", ["0", "-1", str(PAGE_LIMIT_MAX + 1), "ten", "1.5", "1e2", "9" * 5000])
async def test_limit_out_of_bounds_is_refused_by_name(api_without_temporal: ApiHarness, limit: str) -> None:
    answer = await api_without_temporal.http.get(SETTLEMENTS, params={"limit": limit})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == ["limit"]


@pytest.mark.parametrize("name", ["order_id", "user", "since", "States", "extra"])
async def test_an_unknown_filter_is_rejected_by_name(api_without_temporal: ApiHarness, name: str) -> None:
    """If it were ignored, the list would show settlements that were not requested."""
    answer = await api_without_temporal.http.get(SETTLEMENTS, params={name: "hunter2"})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [name]
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("limit", [1, PAGE_LIMIT_MAX])
async def test_limits_at_the_bounds_are_accepted(api_without_temporal: ApiHarness, limit: int) -> None:
    assert (await api_without_temporal.http.get(SETTLEMENTS, params={"limit": limit})).status_code == 200


@pytest.mark.parametrize("state", ["settled", "DONE", "SETTLED,ABORTED", "\x00", "%"])
async def test_an_unknown_state_is_rejected_by_name(api_without_temporal: ApiHarness, state: str) -> None:
    answer = await api_without_temporal.http.get(SETTLEMENTS, params={"state": state})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == ["state"]
    assert "ABORTED" in answer.json()["errors"][0]["rule"]
