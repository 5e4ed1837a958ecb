"""An operator's acts on an aborted settlement: carried out, kept with who, why and on what evidence; else refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from settlement.states import State
from tests.api.doors import SETTLEMENTS, Door, accept, terminate
from tests.api.operating import ACTS, BROKER_IS_BACK, EVIDENCE, RESOLUTION, RETRY, aborted, story
from tests.api.snapshots import stands
from tests.support.orders import order, settlement
from tests.support.scripted import APPLIED, REVERSED, UNKNOWN, Gate, ScriptedExternalSystem
from tests.support.stories import FAILED


@asynccontextmanager
async def in_flight(door: Door, *, cancelling: bool) -> AsyncIterator[str]:
    """Hold a settlement in CANCELLING or in ADJUSTING."""
    body = order()
    gate = Gate(REVERSED)
    external = ScriptedExternalSystem(adjust=UNKNOWN if cancelling else gate, cancels=[gate])
    async with door.workers(external):
        assert (await door.post(body)).status_code == 202
        await gate.reached.wait()
        yield body["requestUniqueNo"]
        gate.opened.set()
        await door.reaches(body["requestUniqueNo"], State.CANCELLED if cancelling else State.SETTLED)


async def test_retry_is_accepted_kept_and_carried_out(door: Door) -> None:
    before = datetime.now(UTC)
    gate = Gate(REVERSED)
    async with aborted(door, gate) as number:
        answer = await door.act(number, RETRY, BROKER_IS_BACK)
        shown = (await door.get(number)).json()
        gate.opened.set()
        await door.reaches(number, State.CANCELLED)
    after = datetime.now(UTC)
    assert (answer.status_code, answer.json()["state"]) == (202, "CANCELLING")
    assert answer.headers["location"] == f"{SETTLEMENTS}/{number}"
    assert answer.json() == shown
    (act,) = answer.json()["operatorActions"]
    assert before <= datetime.fromisoformat(act.pop("at")) <= after
    nothing = {"brokerReference": None, "batchId": None}
    assert act == {"kind": "RETRY_CANCEL_ADJUST", "operator": "local", **BROKER_IS_BACK, **nothing}
    end = (await door.get(number)).json()
    assert story(end) == [("ADJUST", 0, 1), ("CANCEL_ADJUST", 0, 1), ("CANCEL_ADJUST", 1, 1)]
    assert (end["cancelResult"], end["operatorActions"]) == ("REVERSED", answer.json()["operatorActions"])
    assert len({call["requestUniqueNo"] for call in end["calls"][1:]}) == 1


async def test_resolution_closes_it_with_reason_and_evidence(door: Door) -> None:
    async with aborted(door) as number:
        answer = await door.act(number, RESOLUTION, EVIDENCE)
        shown = (await door.get(number)).json()
    assert (answer.status_code, answer.json()["state"], answer.json()["decision"]) == (200, "RESOLVED", "VOID")
    assert answer.json() == shown
    (act,) = shown["operatorActions"]
    assert {**act, "at": None} == {"kind": "RESOLVE", "operator": "local", **EVIDENCE, "batchId": None, "at": None}
    assert story(shown) == [("ADJUST", 0, 1), ("CANCEL_ADJUST", 0, 1)]


async def test_every_act_is_kept_in_order(door: Door) -> None:
    async with aborted(door, FAILED) as number:
        await door.act(number, RETRY, EVIDENCE)
        await door.reaches(number, State.ABORTED)
        await door.act(number, RESOLUTION, {**EVIDENCE, "note": "by phone"})
        acts = (await door.get(number)).json()["operatorActions"]
    assert [(act["kind"], act["note"]) for act in acts] == [
        ("RETRY_CANCEL_ADJUST", EVIDENCE["note"]),
        ("RESOLVE", "by phone"),
    ]


async def test_act_is_confirmed_though_the_ledger_cannot_be_written(door: Door) -> None:
    """It is done and in the history; the row follows when the database is back."""
    async with aborted(door) as number:
        door.ledger.down = True
        answer = await door.act(number, RESOLUTION, EVIDENCE)
        assert (answer.status_code, answer.json()["state"]) == (200, "RESOLVED")
        door.ledger.down = False
        await door.reaches(number, State.RESOLVED)
        assert len((await door.get(number)).json()["operatorActions"]) == 1


async def refused(door: Door, number: str, state: str) -> None:
    """Check that neither act is taken and the settlement stays as it is."""
    before = (await door.get(number)).json()
    for kind in ACTS:
        answer = await door.act(number, kind, EVIDENCE)
        assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
    assert (await door.get(number)).json() == before
    assert (before["state"], before["operatorActions"]) == (state, [])


async def test_settled_one_is_refused(door: Door) -> None:
    body = order()
    async with door.workers(ScriptedExternalSystem(adjust=APPLIED)):
        await door.post(body, prefer="wait=20")
        await refused(door, body["requestUniqueNo"], "SETTLED")


@pytest.mark.parametrize("state", ["CANCELLING", "ADJUSTING"])
async def test_one_that_is_under_way_is_refused_with_its_state(door: Door, state: str) -> None:
    async with in_flight(door, cancelling=state == "CANCELLING") as number:
        await door.reaches(number, State(state))
        await refused(door, number, state)
        assert state in (await door.act(number, RETRY, EVIDENCE)).json()["detail"]


async def test_resolved_one_is_refused_whatever_else_is_asked(door: Door) -> None:
    async with aborted(door) as number:
        await door.act(number, RESOLUTION, EVIDENCE)
        for kind, body in [(RETRY, EVIDENCE), (RESOLUTION, {**EVIDENCE, "brokerReference": "ticket 18"})]:
            answer = await door.act(number, kind, body)
            assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
            assert "RESOLVED" in answer.json()["detail"]
        assert len((await door.get(number)).json()["operatorActions"]) == 1


@pytest.mark.parametrize("kind", ACTS)
async def test_one_whose_workflow_was_ended_from_outside_is_started_again_and_the_act_carried_out(
    door: Door, kind: str
) -> None:
    """What `explain` recommends works, without waiting for reconciliation; the audit and a finding tell of it."""
    async with aborted(door, REVERSED) as number:
        await terminate(door.temporal, number)
        answer = await door.act(number, kind, EVIDENCE)
        assert answer.is_success, answer.text
        await door.reaches(number, State.CANCELLED if kind == RETRY else State.RESOLVED)
        end = (await door.get(number)).json()
    acts = ["TAKE_UP", "RETRY_CANCEL_ADJUST" if kind == RETRY else "RESOLVE"]
    assert [act["kind"] for act in end["operatorActions"]] == acts
    assert len({call["requestUniqueNo"] for call in end["calls"][1:]}) == 1
    found = (await door.http.get("/v1/reconciliation/findings")).json()["items"]
    assert [(each["kind"], each["status"]) for each in found] == [("WORKFLOW_ENDED_FROM_OUTSIDE", "REPAIRED")]


async def test_many_who_retry_one_whose_workflow_was_ended_start_it_again_once(door: Door) -> None:
    async with aborted(door, REVERSED) as number:
        await terminate(door.temporal, number)
        answers = await asyncio.gather(*(door.act(number, RETRY, EVIDENCE) for _ in range(5)))
        await door.reaches(number, State.CANCELLED)
        end = (await door.get(number)).json()
    assert {answer.status_code for answer in answers} == {202}
    assert [act["kind"] for act in end["operatorActions"]] == ["TAKE_UP", "RETRY_CANCEL_ADJUST"]
    assert [call["operation"] for call in end["calls"]] == ["ADJUST", "CANCEL_ADJUST", "CANCEL_ADJUST"]


async def test_one_whose_workflow_was_ended_while_cancelling_is_refused_with_the_remedy(door: Door) -> None:
    order = settlement()
    number = await accept(door.ledger, order, stands(order, State.CANCELLING))
    answer = await door.act(number, RETRY, EVIDENCE)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
    assert "this settlement is CANCELLING" in answer.json()["detail"]
    assert "settlement reconcile starts it again" in answer.json()["detail"]


@pytest.mark.parametrize("kind", ACTS)
async def test_one_that_was_never_started_is_refused_and_not_called_closed(door: Door, kind: str) -> None:
    """An operator who reads that it has closed would look no further."""
    number = await accept(door.ledger, settlement())
    answer = await door.act(number, kind, EVIDENCE)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
    assert "closed" not in answer.json()["detail"]


@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize("number", ["N-unknown", "%00", "N" * 49, "%E2%82%AC"])
async def test_unknown_number_is_not_found(closed_door: Door, kind: str, number: str) -> None:
    answer = await closed_door.act(number, kind, EVIDENCE)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
