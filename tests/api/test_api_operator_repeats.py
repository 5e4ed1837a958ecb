"""A repeated call is the same act and answers the same; of different calls at once one is taken."""

import asyncio

import pytest
from temporalio.client import Client

from ledger import SettlementRecord
from settlement.ids import workflow_id
from settlement.keys import Role
from settlement.states import State
from tests.api.doors import GUARDED, Door, bearer, open_real_door
from tests.api.operating import BROKER_IS_BACK, EVIDENCE, RESOLUTION, RETRY, aborted, story
from tests.support.ledgers import FlakyLedger
from tests.support.scripted import REVERSED, Gate
from tests.support.stories import FAILED


@pytest.mark.parametrize(("kind", "status", "ends"), [(RETRY, 202, State.CANCELLED), (RESOLUTION, 200, State.RESOLVED)])
async def test_of_equal_calls_at_once_all_are_answered_alike_and_one_act_is_kept(
    door: Door, kind: str, status: int, ends: State
) -> None:
    gate = Gate(REVERSED)
    async with aborted(door, gate) as number:
        answers = await asyncio.gather(*(door.act(number, kind, EVIDENCE) for _ in range(4)))
        gate.opened.set()
        await door.reaches(number, ends)
        acts = (await door.get(number)).json()["operatorActions"]
    assert [answer.status_code for answer in answers] == [status] * 4
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["operatorActions"] == acts
    assert len(acts) == 1


async def test_of_different_calls_at_once_one_acts_and_the_other_is_refused(door: Door) -> None:
    gate = Gate(REVERSED)
    async with aborted(door, gate) as number:
        bodies = [EVIDENCE, {**EVIDENCE, "note": "another word"}]
        answers = await asyncio.gather(*(door.act(number, RETRY, body) for body in bodies))
        gate.opened.set()
        await door.reaches(number, State.CANCELLED)
        acts = (await door.get(number)).json()["operatorActions"]
    assert sorted(answer.status_code for answer in answers) == [202, 409]
    (note,) = [body["note"] for body, answer in zip(bodies, answers, strict=True) if answer.status_code == 202]
    assert [act["note"] for act in acts] == [note]


async def test_a_repeated_call_answers_the_same_however_far_the_settlement_has_gone(door: Door) -> None:
    gate = Gate(REVERSED)
    async with aborted(door, gate) as number:
        first = await door.act(number, RETRY, BROKER_IS_BACK)
        again = await door.act(number, RETRY, BROKER_IS_BACK)
        gate.opened.set()
        await door.reaches(number, State.CANCELLED)
        at_the_end = await door.act(number, RETRY, BROKER_IS_BACK)
        shown = (await door.get(number)).json()
    assert "idempotent-replayed" not in first.headers
    assert again.json() == first.json()
    assert at_the_end.json() == shown
    for answer in (again, at_the_end):
        assert (answer.status_code, answer.headers["idempotent-replayed"]) == (202, "true")
        assert answer.headers["location"] == first.headers["location"]
    assert len(shown["operatorActions"]) == 1


async def test_the_same_words_are_a_new_act_when_it_is_aborted_again(door: Door) -> None:
    async with aborted(door, FAILED, REVERSED) as number:
        await door.act(number, RETRY, BROKER_IS_BACK)
        await door.reaches(number, State.ABORTED)
        answer = await door.act(number, RETRY, BROKER_IS_BACK)
        assert "idempotent-replayed" not in answer.headers
        await door.reaches(number, State.CANCELLED)
        shown = (await door.get(number)).json()
    assert len(shown["operatorActions"]) == 2
    assert story(shown)[-1] == ("CANCEL_ADJUST", 2, 1)


async def test_what_somebody_else_did_is_no_repetition(door: Door) -> None:
    """Neither another kind of act, nor other words, nor the words of an earlier act that another one followed."""
    gate = Gate(REVERSED)
    async with aborted(door, FAILED, gate) as number:
        await door.act(number, RETRY, EVIDENCE)
        await door.reaches(number, State.ABORTED)
        await door.act(number, RETRY, BROKER_IS_BACK)
        for kind, body in [(RESOLUTION, EVIDENCE), (RETRY, EVIDENCE), (RETRY, {**BROKER_IS_BACK, "note": "x"})]:
            answer = await door.act(number, kind, body)
            assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
            assert "CANCELLING" in answer.json()["detail"]
        gate.opened.set()
        await door.reaches(number, State.CANCELLED)


async def test_a_repeated_call_answers_the_same_though_the_ledger_has_not_heard_of_the_first(door: Door) -> None:
    """Temporal itself knows the Update again."""
    async with aborted(door) as number:
        door.ledger.down = True
        first = await door.act(number, RESOLUTION, EVIDENCE)
        again = await door.act(number, RESOLUTION, EVIDENCE)
        assert (again.status_code, again.json()) == (200, first.json())
        door.ledger.down = False
        await door.reaches(number, State.RESOLVED)
        assert len((await door.get(number)).json()["operatorActions"]) == 1


async def test_a_repeated_call_that_finds_its_workflow_closed_in_between_answers_the_same(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read the ledger before the act was in it, and reached Temporal, which knows the Update, when all was over."""
    async with aborted(door) as number:
        before = await door.ledger.find(number)
        await door.act(number, RESOLUTION, EVIDENCE)
        await workflow_closes(door, number)
    reads = iter([before])
    find = door.ledger.find

    async def late_reader(request_unique_no: str) -> SettlementRecord | None:
        return next(reads, None) or await find(request_unique_no)

    monkeypatch.setattr(door.ledger, "find", late_reader)
    answer = await door.act(number, RESOLUTION, EVIDENCE)
    assert (answer.status_code, answer.json()["state"]) == (200, "RESOLVED")
    assert len(answer.json()["operatorActions"]) == 1


async def workflow_closes(door: Door, number: str) -> None:
    """Wait until Temporal says so."""
    await door.temporal.get_workflow_handle(workflow_id(number)).result()


async def test_an_act_is_kept_under_the_keys_owner_and_only_that_owner_repeats_it(
    ledger: FlakyLedger, temporal: Client
) -> None:
    async with open_real_door(ledger, temporal, GUARDED) as door:
        door.http.headers.update(bearer(await door.key(Role.PLATFORM)))
        first, second = [bearer(await door.key(Role.OPERATOR, owner)) for owner in ("ops-1", "ops-2")]
        async with aborted(door) as number:
            acted = await door.act(number, RESOLUTION, EVIDENCE, **first)
            repeated = await door.act(number, RESOLUTION, EVIDENCE, **first)
            other = await door.act(number, RESOLUTION, EVIDENCE, **second)
        assert [answer.status_code for answer in (acted, repeated, other)] == [200, 200, 409]
        assert [act["operator"] for act in repeated.json()["operatorActions"]] == ["ops-1"]


async def test_of_two_operators_with_the_same_words_at_once_one_acts(ledger: FlakyLedger, temporal: Client) -> None:
    async with open_real_door(ledger, temporal, GUARDED) as door:
        door.http.headers.update(bearer(await door.key(Role.PLATFORM)))
        owners = [bearer(await door.key(Role.OPERATOR, owner)) for owner in ("ops-1", "ops-2")]
        async with aborted(door) as number:
            answers = await asyncio.gather(*(door.act(number, RESOLUTION, EVIDENCE, **owner) for owner in owners))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
