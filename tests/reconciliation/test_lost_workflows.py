"""Open settlements without a workflow are continued by exactly one new workflow, or their end is recorded."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from settlement.ids import workflow_id
from settlement.policy import ConfirmMode
from settlement.reconciliation import FindingKind, FindingStatus
from settlement.snapshot import ActionKind
from settlement.start import accepted_snapshot
from settlement.states import CancelResult, Decision, State
from tests.reconciliation.conftest import Sides
from tests.support import lost
from tests.support.dev_server import delete_workflow
from tests.support.orders import ONE_ATTEMPT, QUICK_POLICY, settlement
from tests.support.polling import until
from tests.support.sagas import end_of
from tests.support.scripted import (
    APPLIED,
    NEVER_RECEIVED,
    REVERSED,
    UNKNOWN,
    Gate,
    ScriptedExternalSystem,
)
from tests.support.story_acts import FAILED, RETRY
from workflows.order_settlement import OrderSettlement

REPAIRED, OPEN = FindingStatus.REPAIRED, FindingStatus.OPEN
ENDED, MISSING = FindingKind.WORKFLOW_ENDED_FROM_OUTSIDE, FindingKind.WORKFLOW_MISSING
NO_QUARANTINE = QUICK_POLICY.model_copy(update={"confirm": ConfirmMode.NEVER})
AGO = timedelta(seconds=QUICK_POLICY.expire_after_s + 1)


async def test_a_settlement_terminated_while_cancelling_is_cancelled_by_the_same_request(
    sides: Sides,
) -> None:
    gate = Gate(REVERSED)
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[gate, REVERSED])
    accepted = settlement()
    async with sides.working(external):
        handle = await sides.start(accepted)
        await gate.reached.wait()
        await sides.catches_up(accepted)
        await handle.terminate()
        ended = await sides.round()
        snapshot = await end_of(sides.handle(accepted))
        gate.opened.set()
    assert (ended.ledger_checked, ended.found, ended.repaired, ended.open_findings) == (1, 1, 1, 0)
    assert ended.complete
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert len({body.model_dump_json() for body in external.cancels}) == 1
    assert (len(external.adjusts), len(external.cancels)) == (1, 2)
    (finding,) = await sides.findings()
    assert (finding.kind, finding.status) == (ENDED, REPAIRED)
    assert "TERMINATED" in finding.detail
    assert "CANCELLING" in finding.repair
    assert [act.kind for act in snapshot.actions] == [ActionKind.TAKE_UP]
    assert await sides.recorded(accepted) == snapshot


async def test_a_take_up_continues_from_the_lost_workflows_newer_snapshot(sides: Sides) -> None:
    """The ledger was unavailable and has only the accepted order. The sent cancel is sent again, and no other."""
    gate = Gate(REVERSED)
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[gate, REVERSED])
    accepted = settlement()
    async with sides.working(external, cut_off=True):
        handle = await sides.start(accepted)
        await gate.reached.wait()
        await handle.terminate()
        gate.opened.set()
    assert await sides.recorded(accepted) == accepted_snapshot(accepted)
    async with sides.working(external):
        await sides.round()
        snapshot = await end_of(sides.handle(accepted))
    assert snapshot.cancel_result is CancelResult.REVERSED
    assert len({body.model_dump_json() for body in external.cancels}) == 1
    assert snapshot.calls[0].verdict == UNKNOWN


async def test_a_decision_to_proceed_that_the_ledger_lacks_stands(sides: Sides) -> None:
    """The platform received PROCEED, so a compensation would take the credit from a valid order."""
    external = ScriptedExternalSystem(adjust=APPLIED)
    accepted = settlement()
    async with sides.working(external, cut_off=True):
        handle = await sides.start(accepted)
        decided = await handle.execute_update(OrderSettlement.decision)
        await handle.terminate()
    async with sides.working(external):
        await sides.round()
    assert decided.decision is Decision.PROCEED
    assert await sides.recorded(accepted) == decided
    assert external.cancels == []
    assert (await sides.handle(accepted).describe()).status is WorkflowExecutionStatus.TERMINATED
    assert await sides.found() == [(ENDED, REPAIRED)]


async def test_an_aborted_settlement_whose_workflow_was_deleted_waits_again(sides: Sides) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED, REVERSED])
    accepted = settlement(policy=ONE_ATTEMPT, accepted_at=datetime.now(UTC) - AGO)
    async with sides.working(external):
        await sides.ledger.record(accepted, lost.aborted(accepted))
        await sides.round()
        snapshot = await sides.handle(accepted).query(OrderSettlement.snapshot)
        assert (snapshot.state, external.cancels) == (State.ABORTED, [])
        await sides.handle(accepted).execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        await sides.records(accepted, State.ABORTED)
    assert await sides.found() == [(MISSING, REPAIRED)]


async def test_a_settlement_deleted_from_temporal_continues_from_the_ledger(sides: Sides) -> None:
    gate = Gate(REVERSED)
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[gate, REVERSED])
    accepted = settlement(policy=QUICK_POLICY.model_copy(update={"expire_after_s": 6.0}))
    async with sides.working(external):
        await sides.start(accepted)
        await gate.reached.wait()
        await sides.catches_up(accepted)
        await delete_workflow(sides.temporal, workflow_id(accepted.settlement_id))

        async def taken_up() -> bool:
            await sides.round()
            return bool(await sides.found())

        await until(taken_up, what="the expiry to pass")
        snapshot = await end_of(sides.handle(accepted))
        gate.opened.set()
    assert await sides.found() == [(MISSING, REPAIRED)]
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert len({body.model_dump_json() for body in external.cancels}) == 1


async def test_a_settlement_that_was_never_started_is_void_and_cancelled_and_never_sent(sides: Sides) -> None:
    """Its caller may have stopped retrying, and it cannot be distinguished from a lost workflow."""
    external = ScriptedExternalSystem(adjust=APPLIED, cancels=[NEVER_RECEIVED])
    accepted = settlement(accepted_at=datetime.now(UTC) - AGO, policy=NO_QUARANTINE)
    await sides.ledger.accept(accepted, accepted_snapshot(accepted))
    async with sides.working(external):
        await sides.round()
        snapshot = await end_of(sides.handle(accepted))
    assert (snapshot.state, snapshot.decision) == (State.CANCELLED, Decision.VOID)
    assert snapshot.cancel_result is CancelResult.NEVER_RECEIVED
    assert external.adjusts == []


async def test_a_settlement_that_may_still_be_sent_is_left_to_its_post(sides: Sides) -> None:
    """Its policy has a long expiry. If anything but its POST started it now, it would be void."""
    patient = QUICK_POLICY.model_copy(update={"expire_after_s": 86_400.0})
    accepted = settlement(accepted_at=datetime.now(UTC) - timedelta(hours=1), policy=patient)
    await sides.ledger.accept(accepted, accepted_snapshot(accepted))
    ended = await sides.round()
    assert (ended.ledger_checked, ended.found) == (1, 0)
    with pytest.raises(RPCError, match="not found"):
        await sides.handle(accepted).describe()


@pytest.mark.parametrize("state", sorted(set(State) - {State.ADJUSTING, State.CANCELLING, State.ABORTED}))
async def test_an_ended_settlement_needs_no_workflow(sides: Sides, state: State) -> None:
    accepted = settlement(accepted_at=datetime.now(UTC) - timedelta(days=1))
    known = accepted_snapshot(accepted).model_copy(update={"version": 1, "state": state})
    await sides.ledger.record(accepted, known)
    ended = await sides.round()
    assert (ended.ledger_checked, ended.found) == (0, 0)


async def test_a_settlement_in_progress_is_unchanged(sides: Sides) -> None:
    gate = Gate(APPLIED)
    external = ScriptedExternalSystem(adjust=gate)
    accepted = settlement()
    async with sides.working(external):
        await sides.start(accepted)
        await gate.reached.wait()
        ended = await sides.round()
        gate.opened.set()
        snapshot = await end_of(sides.handle(accepted))
    assert (ended.ledger_checked, ended.found, ended.complete) == (1, 0, True)
    assert (snapshot.state, snapshot.actions, len(external.adjusts)) == (State.SETTLED, (), 1)


async def test_concurrent_rounds_take_it_up_once(sides: Sides) -> None:
    external = ScriptedExternalSystem(adjust=APPLIED, cancels=[REVERSED])
    accepted = settlement(accepted_at=datetime.now(UTC) - AGO)
    await sides.ledger.accept(accepted, accepted_snapshot(accepted))
    async with sides.working(external):
        await asyncio.gather(*(sides.round() for _ in range(3)))
        snapshot = await end_of(sides.handle(accepted))
    assert [act.kind for act in snapshot.actions] == [ActionKind.TAKE_UP]
    assert len(external.cancels) == 1


async def test_a_settlement_lost_again_is_taken_up_again(sides: Sides) -> None:
    gates = [Gate(REVERSED), Gate(REVERSED)]
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[*gates, REVERSED])
    accepted = settlement()
    async with sides.working(external):
        await sides.start(accepted)
        for gate in gates:
            await gate.reached.wait()
            await sides.handle(accepted).terminate()
            await sides.round()
        snapshot = await end_of(sides.handle(accepted))
        for gate in gates:
            gate.opened.set()
    assert await sides.found() == [(ENDED, REPAIRED)] * 2
    assert len({body.model_dump_json() for body in external.cancels}) == 1
    adjust, *cancels = snapshot.calls
    assert (adjust.kind, {call.round for call in cancels}) == (None, {0, 1, 2})
    assert len({(call.round, call.attempt) for call in cancels}) == len(cancels) >= len(external.cancels)


@pytest.mark.usefixtures("_short_of_patience")
async def test_a_lost_workflow_with_a_decision_that_cannot_be_read_waits_for_a_worker(sides: Sides) -> None:
    """Continuing from the ledger alone could void an order for which the platform received PROCEED."""
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED), cut_off=True):
        handle = await sides.start(accepted)
        decided = await handle.execute_update(OrderSettlement.decision)
        await handle.terminate()
    ended = await sides.round()
    assert (ended.found, ended.repaired, ended.open_findings) == (1, 0, 1)
    (finding,) = await sides.findings()
    assert (finding.status, finding.rounds) == (OPEN, 1)
    assert "SETTLED" in finding.detail
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        await sides.round()
    assert await sides.recorded(accepted) == decided
    (finding,) = await sides.findings()
    assert (finding.status, finding.rounds) == (REPAIRED, 2)


@pytest.mark.usefixtures("_short_of_patience")
async def test_a_lost_workflow_without_more_knowledge_than_the_ledger_is_taken_up_without_a_query(sides: Sides) -> None:
    gate = Gate(REVERSED)
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[gate])):
        handle = await sides.start(accepted)
        await gate.reached.wait()
        known = await sides.records(accepted, State.CANCELLING)
        await handle.terminate()
        gate.opened.set()
    await sides.round()
    assert await sides.found() == [(ENDED, REPAIRED)]
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED])
    async with sides.working(external):
        snapshot = await end_of(sides.handle(accepted))
    assert snapshot.state is State.CANCELLED
    assert snapshot.calls[0] == known.calls[0]
