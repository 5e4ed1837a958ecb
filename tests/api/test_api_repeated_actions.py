"""A repeated action gets the same response. Of different concurrent actions, one is executed."""

import asyncio

import pytest
from temporalio.client import Client

from api.settlements import operator_updates
from ledger import SettlementRecord
from settlement.ids import SettlementId, workflow_id
from settlement.keys import Role
from settlement.scope import EVERYTHING, Scope
from settlement.states import State
from tests.api.aborted_settlements import BROKER_IS_BACK, EVIDENCE, RESOLUTION, RETRY, aborted, calls_of
from tests.api.api_harness import WITH_KEYS, ApiHarness, bearer, open_api_with_temporal
from tests.support.ledgers import FlakyLedger
from tests.support.orders import id_of
from tests.support.scripted import REVERSED, Gate
from tests.support.story_acts import FAILED


@pytest.mark.parametrize(("kind", "status", "ends"), [(RETRY, 202, State.CANCELLED), (RESOLUTION, 200, State.RESOLVED)])
async def test_equal_concurrent_actions_get_equal_responses_and_are_one_action(
    api: ApiHarness, kind: str, status: int, ends: State
) -> None:
    gate = Gate(REVERSED)
    async with aborted(api, gate) as number:
        answers = await asyncio.gather(*(api.act(number, kind, EVIDENCE) for _ in range(4)))
        gate.opened.set()
        await api.wait_for_state(number, ends)
        acts = (await api.get(number)).json()["operatorActions"]
    assert [answer.status_code for answer in answers] == [status] * 4
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["operatorActions"] == acts
    assert len(acts) == 1


async def test_of_different_concurrent_actions_one_is_executed_and_the_other_rejected(api: ApiHarness) -> None:
    gate = Gate(REVERSED)
    async with aborted(api, gate) as number:
        bodies = [EVIDENCE, {**EVIDENCE, "note": "another word"}]
        answers = await asyncio.gather(*(api.act(number, RETRY, body) for body in bodies))
        gate.opened.set()
        await api.wait_for_state(number, State.CANCELLED)
        acts = (await api.get(number)).json()["operatorActions"]
    assert sorted(answer.status_code for answer in answers) == [202, 409]
    (note,) = [body["note"] for body, answer in zip(bodies, answers, strict=True) if answer.status_code == 202]
    assert [act["note"] for act in acts] == [note]


async def test_a_repeated_action_returns_the_current_settlement_at_any_later_time(api: ApiHarness) -> None:
    gate = Gate(REVERSED)
    async with aborted(api, gate) as number:
        first = await api.act(number, RETRY, BROKER_IS_BACK)
        again = await api.act(number, RETRY, BROKER_IS_BACK)
        gate.opened.set()
        await api.wait_for_state(number, State.CANCELLED)
        at_the_end = await api.act(number, RETRY, BROKER_IS_BACK)
        shown = (await api.get(number)).json()
    assert "idempotent-replayed" not in first.headers
    assert again.json() == first.json()
    assert at_the_end.json() == shown
    for answer in (again, at_the_end):
        assert (answer.status_code, answer.headers["idempotent-replayed"]) == (202, "true")
        assert answer.headers["location"] == first.headers["location"]
    assert len(shown["operatorActions"]) == 1


async def test_an_equal_request_is_a_new_action_after_another_abort(api: ApiHarness) -> None:
    async with aborted(api, FAILED, REVERSED) as number:
        await api.act(number, RETRY, BROKER_IS_BACK)
        await api.wait_for_state(number, State.ABORTED)
        answer = await api.act(number, RETRY, BROKER_IS_BACK)
        assert "idempotent-replayed" not in answer.headers
        await api.wait_for_state(number, State.CANCELLED)
        shown = (await api.get(number)).json()
    assert len(shown["operatorActions"]) == 2
    assert calls_of(shown)[-1] == ("CANCEL_ADJUST", 2, 1)


async def test_a_different_action_is_not_a_repeat(api: ApiHarness) -> None:
    """Another kind of action, another body, or an earlier action that was followed by another one."""
    gate = Gate(REVERSED)
    async with aborted(api, FAILED, gate) as number:
        await api.act(number, RETRY, EVIDENCE)
        await api.wait_for_state(number, State.ABORTED)
        await api.act(number, RETRY, BROKER_IS_BACK)
        for kind, body in [(RESOLUTION, EVIDENCE), (RETRY, EVIDENCE), (RETRY, {**BROKER_IS_BACK, "note": "x"})]:
            answer = await api.act(number, kind, body)
            assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
            assert "CANCELLING" in answer.json()["detail"]
        gate.opened.set()
        await api.wait_for_state(number, State.CANCELLED)


async def test_a_repeated_action_gets_the_same_response_before_the_first_is_in_the_ledger(
    api: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporal recognises the Update id."""
    monkeypatch.setattr(operator_updates, "READ_LIMIT_S", 0.5)
    async with aborted(api) as number:
        api.ledger.down = True
        first = await api.act(number, RESOLUTION, EVIDENCE)
        again = await api.act(number, RESOLUTION, EVIDENCE)
        assert (again.status_code, again.json()) == (200, first.json())
        api.ledger.down = False
        await api.wait_for_state(number, State.RESOLVED)
        assert len((await api.get(number)).json()["operatorActions"]) == 1


async def test_a_repeated_action_gets_the_same_response_if_the_workflow_has_closed_meanwhile(
    api: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read the ledger before the action was written, and reached Temporal after the workflow had completed."""
    async with aborted(api) as number:
        before = await api.ledger.find(id_of(number))
        await api.act(number, RESOLUTION, EVIDENCE)
        await workflow_closes(api, number)
    reads = iter([before])
    find = api.ledger.find

    async def late_reader(settlement_id: SettlementId, scope: Scope = EVERYTHING) -> SettlementRecord | None:
        return next(reads, None) or await find(settlement_id, scope)

    monkeypatch.setattr(api.ledger, "find", late_reader)
    answer = await api.act(number, RESOLUTION, EVIDENCE)
    assert (answer.status_code, answer.json()["state"]) == (200, "RESOLVED")
    assert len(answer.json()["operatorActions"]) == 1


async def workflow_closes(api: ApiHarness, number: str) -> None:
    """Wait until the workflow has completed."""
    await api.temporal.get_workflow_handle(workflow_id(id_of(number))).result()


async def test_an_action_is_audited_under_client_and_key_and_only_that_client_can_repeat_it(
    ledger: FlakyLedger, temporal: Client
) -> None:
    """Also with another key, such as the successor of the first: the audit keeps the key that acted."""
    async with open_api_with_temporal(ledger, temporal, WITH_KEYS) as api:
        api.http.headers.update(bearer(await api.create_key(Role.PLATFORM)))
        keys = [await api.create_key(Role.OPERATOR, client) for client in ("ops-1", "ops-1", "ops-2")]
        first, successor, second = map(bearer, keys)
        async with aborted(api) as number:
            acted = await api.act(number, RESOLUTION, EVIDENCE, **first)
            repeated = await api.act(number, RESOLUTION, EVIDENCE, **successor)
            other = await api.act(number, RESOLUTION, EVIDENCE, **second)
        assert [answer.status_code for answer in (acted, repeated, other)] == [200, 200, 409]
        acts = [(act["operator"], act["keyId"]) for act in repeated.json()["operatorActions"]]
        assert acts == [("ops-1", keys[0].partition(".")[0])]


async def test_of_two_operators_with_equal_concurrent_actions_one_is_rejected(
    ledger: FlakyLedger, temporal: Client
) -> None:
    async with open_api_with_temporal(ledger, temporal, WITH_KEYS) as api:
        api.http.headers.update(bearer(await api.create_key(Role.PLATFORM)))
        keys = [bearer(await api.create_key(Role.OPERATOR, client)) for client in ("ops-1", "ops-2")]
        async with aborted(api) as number:
            answers = await asyncio.gather(*(api.act(number, RESOLUTION, EVIDENCE, **key) for key in keys))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
