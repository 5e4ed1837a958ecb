"""The event stream of a settlement that has ended: complete, from any event on, and invalid requests.

Streams that stay open need a real connection: test_api_event_streams.py, tests/e2e/test_e2e_reading.py.
"""

import json
from typing import Any

import httpx2
import pytest

from settlement.snapshot import Snapshot
from settlement.states import State
from tests.api.api_harness import SETTLEMENTS, ApiHarness, accept
from tests.api.snapshots import full_audit_snapshot
from tests.support.orders import settlement

STATES = ["ADJUSTING", "CANCELLING", "ABORTED", "CANCELLED"]


def ended_settlement() -> tuple[Any, Snapshot]:
    """Return a settlement that has ended, with all its state changes."""
    order = settlement()
    snapshot = full_audit_snapshot(order)
    last = snapshot.state_changes[-1].model_copy(update={"state": State.CANCELLED, "reason": "consistent again"})
    return order, snapshot.model_copy(update={"state_changes": (*snapshot.state_changes, last)})


def events(answer: httpx2.Response) -> list[tuple[int, dict[str, Any]]]:
    """Return the id and data of every event in a stream."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            assert fields["event"] == "state"
            found.append((int(fields["id"]), json.loads(fields["data"])))
    return found


async def test_every_state_is_sent_once_and_the_stream_ends(api_without_temporal: ApiHarness) -> None:
    number = await accept(api_without_temporal.ledger, *ended_settlement())
    answer = await api_without_temporal.http.get(f"{SETTLEMENTS}/{number}/events")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.headers["content-type"].startswith("text/event-stream")
    sent = events(answer)
    assert [(event_id, event["state"]) for event_id, event in sent] == list(enumerate(STATES))
    assert {event["requestUniqueNo"] for _, event in sent} == {number}
    assert [event["decision"] for _, event in sent] == [None, "VOID", "VOID", "VOID"]


@pytest.mark.parametrize("last", range(3))
@pytest.mark.parametrize("named", ["header", "query"])
async def test_a_client_continues_after_its_last_event(api_without_temporal: ApiHarness, last: int, named: str) -> None:
    number = await accept(api_without_temporal.ledger, *ended_settlement())
    headers, params = ({"Last-Event-ID": str(last)}, {}) if named == "header" else ({}, {"after": str(last)})
    path = f"{SETTLEMENTS}/{number}/events"
    sent = events(await api_without_temporal.http.get(path, headers=headers, params=params))
    assert [(event_id, event["state"]) for event_id, event in sent] == list(enumerate(STATES))[last + 1 :]


async def test_after_the_last_event_the_response_is_204_so_an_event_source_stops(
    api_without_temporal: ApiHarness,
) -> None:
    number = await accept(api_without_temporal.ledger, *ended_settlement())
    answer = await api_without_temporal.http.get(f"{SETTLEMENTS}/{number}/events", headers={"Last-Event-ID": "3"})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("value", ["-1", "x", "1.5", str(2**31)])
async def test_an_invalid_event_id_is_rejected(api_without_temporal: ApiHarness, value: str) -> None:
    number = await accept(api_without_temporal.ledger, *ended_settlement())
    path = f"{SETTLEMENTS}/{number}/events"
    by_header = await api_without_temporal.http.get(path, headers={"Last-Event-ID": value})
    by_query = await api_without_temporal.http.get(path, params={"after": value})
    for answer, field in ((by_header, "last-event-id"), (by_query, "after")):
        assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])


async def test_unknown_number_is_not_found(api_without_temporal: ApiHarness) -> None:
    answer = await api_without_temporal.http.get(f"{SETTLEMENTS}/N-unknown/events")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
