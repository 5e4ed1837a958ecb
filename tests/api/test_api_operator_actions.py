"""Operator actions on an aborted settlement are executed and audited; in any other state they are rejected."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from api.settlements import operator_updates
from settlement.states import State
from tests.api.aborted_settlements import ACTIONS, BROKER_IS_BACK, EVIDENCE, RESOLUTION, RETRY, aborted, calls_of
from tests.api.api_harness import SETTLEMENTS, ApiHarness, accept, terminate
from tests.api.snapshots import snapshot_in
from tests.support.orders import order, settlement
from tests.support.scripted import APPLIED, REVERSED, UNKNOWN, Gate, ScriptedExternalSystem
from tests.support.story_acts import FAILED


@asynccontextmanager
async def in_flight(api: ApiHarness, *, cancelling: bool) -> AsyncIterator[str]:
    """Hold a settlement in CANCELLING or in ADJUSTING."""
    body = order()
    gate = Gate(REVERSED)
    external = ScriptedExternalSystem(adjust=UNKNOWN if cancelling else gate, cancels=[gate])
    async with api.workers(external):
        assert (await api.post(body)).status_code == 202
        await gate.reached.wait()
        yield body["requestUniqueNo"]
        gate.opened.set()
        await api.wait_for_state(body["requestUniqueNo"], State.CANCELLED if cancelling else State.SETTLED)


async def test_a_retry_is_accepted_audited_and_executed(api: ApiHarness) -> None:
    before = datetime.now(UTC)
    gate = Gate(REVERSED)
    async with aborted(api, gate) as number:
        answer = await api.act(number, RETRY, BROKER_IS_BACK)
        shown = (await api.get(number)).json()
        gate.opened.set()
        await api.wait_for_state(number, State.CANCELLED)
    after = datetime.now(UTC)
    assert (answer.status_code, answer.json()["state"]) == (202, "CANCELLING")
    assert answer.headers["location"] == f"{SETTLEMENTS}/{number}?system=default"
    assert answer.json() == shown
    (act,) = answer.json()["operatorActions"]
    assert before <= datetime.fromisoformat(act.pop("at")) <= after
    nothing = {"brokerReference": None, "batchId": None, "proposalNo": None, "keyId": None}
    assert act == {"kind": "RETRY_CANCEL_ADJUST", "operator": "local", **BROKER_IS_BACK, **nothing}
    end = (await api.get(number)).json()
    assert calls_of(end) == [("ADJUST", 0, 1), ("CANCEL_ADJUST", 0, 1), ("CANCEL_ADJUST", 1, 1)]
    assert (end["cancelResult"], end["operatorActions"]) == ("REVERSED", answer.json()["operatorActions"])
    assert len({call["requestUniqueNo"] for call in end["calls"][1:]}) == 1


async def test_a_resolution_closes_the_settlement_with_reason_and_evidence(api: ApiHarness) -> None:
    async with aborted(api) as number:
        answer = await api.act(number, RESOLUTION, EVIDENCE)
        shown = (await api.get(number)).json()
    assert (answer.status_code, answer.json()["state"], answer.json()["decision"]) == (200, "RESOLVED", "VOID")
    assert answer.json() == shown
    (act,) = shown["operatorActions"]
    assert {**act, "at": None} == {
        "kind": "RESOLVE",
        "operator": "local",
        **EVIDENCE,
        "batchId": None,
        "proposalNo": None,
        "keyId": None,
        "at": None,
    }
    assert calls_of(shown) == [("ADJUST", 0, 1), ("CANCEL_ADJUST", 0, 1)]


async def test_every_action_is_audited_in_order(api: ApiHarness) -> None:
    async with aborted(api, FAILED) as number:
        await api.act(number, RETRY, EVIDENCE)
        await api.wait_for_state(number, State.ABORTED)
        await api.act(number, RESOLUTION, {**EVIDENCE, "note": "by phone"})
        acts = (await api.get(number)).json()["operatorActions"]
    assert [(act["kind"], act["note"]) for act in acts] == [
        ("RETRY_CANCEL_ADJUST", EVIDENCE["note"]),
        ("RESOLVE", "by phone"),
    ]


async def test_an_action_is_confirmed_although_the_ledger_cannot_be_written(
    api: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The action is in the workflow's history; the row is written when the database is back."""
    monkeypatch.setattr(operator_updates, "READ_LIMIT_S", 0.5)
    async with aborted(api) as number:
        api.ledger.down = True
        answer = await api.act(number, RESOLUTION, EVIDENCE)
        assert (answer.status_code, answer.json()["state"]) == (200, "RESOLVED")
        api.ledger.down = False
        await api.wait_for_state(number, State.RESOLVED)
        assert len((await api.get(number)).json()["operatorActions"]) == 1


async def refused(api: ApiHarness, number: str, state: str) -> None:
    """Check that both actions are rejected and the settlement is unchanged."""
    before = (await api.get(number)).json()
    for kind in ACTIONS:
        answer = await api.act(number, kind, EVIDENCE)
        assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
    assert (await api.get(number)).json() == before
    assert (before["state"], before["operatorActions"]) == (state, [])


async def test_a_settled_settlement_rejects_actions(api: ApiHarness) -> None:
    body = order()
    async with api.workers(ScriptedExternalSystem(adjust=APPLIED)):
        await api.post(body, prefer="wait=20")
        await refused(api, body["requestUniqueNo"], "SETTLED")


@pytest.mark.parametrize("state", ["CANCELLING", "ADJUSTING"])
async def test_an_open_settlement_is_rejected_with_its_state(api: ApiHarness, state: str) -> None:
    async with in_flight(api, cancelling=state == "CANCELLING") as number:
        await api.wait_for_state(number, State(state))
        await refused(api, number, state)
        assert state in (await api.act(number, RETRY, EVIDENCE)).json()["detail"]


async def test_a_resolved_settlement_rejects_every_other_action(api: ApiHarness) -> None:
    async with aborted(api) as number:
        await api.act(number, RESOLUTION, EVIDENCE)
        for kind, body in [(RETRY, EVIDENCE), (RESOLUTION, {**EVIDENCE, "brokerReference": "ticket 18"})]:
            answer = await api.act(number, kind, body)
            assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
            assert "RESOLVED" in answer.json()["detail"]
        assert len((await api.get(number)).json()["operatorActions"]) == 1


@pytest.mark.parametrize("kind", ACTIONS)
async def test_a_lost_workflow_is_restarted_and_the_action_executed(api: ApiHarness, kind: str) -> None:
    """What `explain` recommends works without waiting for reconciliation. The audit and a finding record it."""
    async with aborted(api, REVERSED) as number:
        await terminate(api.temporal, number)
        answer = await api.act(number, kind, EVIDENCE)
        assert answer.is_success, answer.text
        await api.wait_for_state(number, State.CANCELLED if kind == RETRY else State.RESOLVED)
        end = (await api.get(number)).json()
    acts = ["TAKE_UP", "RETRY_CANCEL_ADJUST" if kind == RETRY else "RESOLVE"]
    assert [act["kind"] for act in end["operatorActions"]] == acts
    assert len({call["requestUniqueNo"] for call in end["calls"][1:]}) == 1
    found = (await api.http.get("/v1/reconciliation/findings")).json()["items"]
    assert [(each["kind"], each["status"]) for each in found] == [("WORKFLOW_ENDED_FROM_OUTSIDE", "REPAIRED")]


async def test_concurrent_retries_of_a_lost_workflow_restart_it_once(api: ApiHarness) -> None:
    async with aborted(api, REVERSED) as number:
        await terminate(api.temporal, number)
        answers = await asyncio.gather(*(api.act(number, RETRY, EVIDENCE) for _ in range(5)))
        await api.wait_for_state(number, State.CANCELLED)
        end = (await api.get(number)).json()
    assert {answer.status_code for answer in answers} == {202}
    assert [act["kind"] for act in end["operatorActions"]] == ["TAKE_UP", "RETRY_CANCEL_ADJUST"]
    assert [call["operation"] for call in end["calls"]] == ["ADJUST", "CANCEL_ADJUST", "CANCEL_ADJUST"]


async def test_a_workflow_lost_while_cancelling_is_rejected_with_the_remedy(api: ApiHarness) -> None:
    order = settlement()
    number = await accept(api.ledger, order, snapshot_in(order, State.CANCELLING))
    answer = await api.act(number, RETRY, EVIDENCE)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
    assert "this settlement is CANCELLING" in answer.json()["detail"]
    assert "settlement reconcile restarts it" in answer.json()["detail"]


@pytest.mark.parametrize("kind", ACTIONS)
async def test_a_settlement_that_was_never_started_is_rejected_and_not_reported_as_closed(
    api: ApiHarness, kind: str
) -> None:
    """An operator who reads that the workflow has closed would not investigate."""
    number = await accept(api.ledger, settlement())
    answer = await api.act(number, kind, EVIDENCE)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
    assert "closed" not in answer.json()["detail"]


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize("number", ["N-unknown", "%00", "N" * 49, "%E2%82%AC"])
async def test_unknown_number_is_not_found(api_without_temporal: ApiHarness, kind: str, number: str) -> None:
    answer = await api_without_temporal.act(number, kind, EVIDENCE)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
