"""The event stream of a settlement that has ended, in whole and from any event on, and what it refuses.

A stream that stays open needs a real connection: test_api_streams.py, tests/e2e/test_e2e_reading.py.
"""

import json
from typing import Any

import httpx2
import pytest

from settlement.snapshot import Snapshot
from settlement.states import State
from tests.api.doors import SETTLEMENTS, Door, accept
from tests.api.snapshots import long_story
from tests.support.orders import settlement

STATES = ["ADJUSTING", "CANCELLING", "ABORTED", "CANCELLED"]


def ended_story() -> tuple[Any, Snapshot]:
    """Return a settlement whose long story has its last event too."""
    order = settlement()
    story = long_story(order)
    last = story.state_changes[-1].model_copy(update={"state": State.CANCELLED, "reason": "consistent again"})
    return order, story.model_copy(update={"state_changes": (*story.state_changes, last)})


def events(answer: httpx2.Response) -> list[tuple[int, dict[str, Any]]]:
    """Return the id and data of every event in a stream."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            assert fields["event"] == "state"
            found.append((int(fields["id"]), json.loads(fields["data"])))
    return found


async def test_every_state_is_told_once_and_the_stream_ends(closed_door: Door) -> None:
    number = await accept(closed_door.ledger, *ended_story())
    answer = await closed_door.http.get(f"{SETTLEMENTS}/{number}/events")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer)
    assert [(event_id, event["state"]) for event_id, event in told] == list(enumerate(STATES))
    assert {event["requestUniqueNo"] for _, event in told} == {number}
    assert [event["decision"] for _, event in told] == [None, "VOID", "VOID", "VOID"]


@pytest.mark.parametrize("last", range(3))
@pytest.mark.parametrize("named", ["header", "query"])
async def test_a_client_goes_on_where_it_was(closed_door: Door, last: int, named: str) -> None:
    number = await accept(closed_door.ledger, *ended_story())
    headers, params = ({"Last-Event-ID": str(last)}, {}) if named == "header" else ({}, {"after": str(last)})
    path = f"{SETTLEMENTS}/{number}/events"
    told = events(await closed_door.http.get(path, headers=headers, params=params))
    assert [(event_id, event["state"]) for event_id, event in told] == list(enumerate(STATES))[last + 1 :]


async def test_behind_the_end_there_is_nothing_and_an_event_source_stops_asking(closed_door: Door) -> None:
    number = await accept(closed_door.ledger, *ended_story())
    answer = await closed_door.http.get(f"{SETTLEMENTS}/{number}/events", headers={"Last-Event-ID": "3"})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("value", ["-1", "x", "1.5", str(2**31)])
async def test_what_is_no_event_id_is_refused(closed_door: Door, value: str) -> None:
    number = await accept(closed_door.ledger, *ended_story())
    path = f"{SETTLEMENTS}/{number}/events"
    by_header = await closed_door.http.get(path, headers={"Last-Event-ID": value})
    by_query = await closed_door.http.get(path, params={"after": value})
    for answer, field in ((by_header, "last-event-id"), (by_query, "after")):
        assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])


async def test_unknown_number_is_not_found(closed_door: Door) -> None:
    answer = await closed_door.http.get(f"{SETTLEMENTS}/N-unknown/events")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
