"""Reconciliation writes to the ledger what only the workflow has."""

from datetime import timedelta

import pytest
from temporalio.worker import UnsandboxedWorkflowRunner

from settlement.reconciliation import FindingKind, FindingStatus
from settlement.start import accepted_snapshot
from settlement.states import CancelResult, Decision, State
from tests.reconciliation.conftest import Sides
from tests.support import lost
from tests.support.orders import ONE_ATTEMPT, settlement
from tests.support.other_release import OtherRelease
from tests.support.patient_worker import PatientWorker
from tests.support.sagas import end_of
from tests.support.scripted import APPLIED, REVERSED, UNKNOWN, Gate, ScriptedExternalSystem
from tests.support.story_acts import FAILED, RESOLVE
from workflows.order_settlement import OrderSettlement
from workflows.runtime import SETTLEMENT_TASK_QUEUE

REPAIRED = FindingStatus.REPAIRED
BEHIND, GONE = FindingKind.LEDGER_BEHIND, FindingKind.LEDGER_MISSING


async def test_an_end_lost_by_a_restored_backup_is_recorded_again(sides: Sides) -> None:
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        ended = await end_of(await sides.start(accepted))
        await sides.restore_older(accepted, accepted_snapshot(accepted))
        await sides.round()
    assert await sides.recorded(accepted) == ended
    assert await sides.found() == [(BEHIND, REPAIRED)]


async def test_an_end_with_a_lower_version_is_recorded_with_a_higher_one_and_all_calls(sides: Sides) -> None:
    """Temporal was restored and reached the end differently. Without this, the ledger would never record it."""
    accepted = settlement()
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED])
    async with sides.working(external):
        ended = await end_of(await sides.start(accepted))
        further = lost.aborted(accepted).model_copy(update={"version": ended.version + 7})
        await sides.restore_older(accepted, further)
        await sides.round()
    recorded = await sides.recorded(accepted)
    assert recorded is not None
    assert (recorded.state, recorded.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert recorded.version == further.version + 1
    assert {*further.calls, *ended.calls} == set(recorded.calls)
    assert await sides.found() == [(BEHIND, REPAIRED)]


async def test_the_aborted_state_of_a_waiting_workflow_is_recorded_in_a_restored_ledger(sides: Sides) -> None:
    """The waiting workflow writes nothing itself, so the ledger would show CANCELLING until an operator acts."""
    accepted = settlement(policy=ONE_ATTEMPT)
    async with sides.working(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED])):
        await sides.start(accepted)
        aborted = await sides.records(accepted, State.ABORTED)
        await sides.restore_older(accepted, lost.cancelling(accepted))
        await sides.round()
        assert await sides.recorded(accepted) == aborted
        await sides.handle(accepted).execute_update(OrderSettlement.resolve, RESOLVE)
        await sides.records(accepted, State.RESOLVED)
    assert await sides.found() == [(BEHIND, REPAIRED)]


async def test_a_row_lost_by_a_restored_backup_is_inserted_completely(sides: Sides) -> None:
    accepted = settlement(policy=ONE_ATTEMPT)
    async with sides.working(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED])):
        await sides.start(accepted)
        aborted = await sides.records(accepted, State.ABORTED)
        before = await sides.ledger.find(accepted.settlement_id)
        await sides.forget(accepted)
        await sides.wait_until_listed()
        ended = await sides.round()
    assert await sides.recorded(accepted) == aborted
    assert await sides.ledger.find(accepted.settlement_id) == before
    assert (ended.temporal_checked, ended.repaired) == (1, 1)
    assert await sides.found() == [(GONE, REPAIRED)]


async def test_a_lost_row_of_a_terminated_workflow_is_inserted_and_taken_up_in_one_round(
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
        await sides.forget(accepted)
        await sides.wait_until_listed("Terminated")
        await sides.round()
        snapshot = await end_of(sides.handle(accepted))
        gate.opened.set()
    assert snapshot.state is State.CANCELLED
    assert await sides.recorded(accepted) == snapshot
    assert len({body.model_dump_json() for body in external.cancels}) == 1
    assert await sides.found() == [(GONE, REPAIRED), (FindingKind.WORKFLOW_ENDED_FROM_OUTSIDE, REPAIRED)]


@pytest.mark.usefixtures("_short_of_patience")
async def test_without_a_worker_a_lost_row_is_inserted_as_accepted(sides: Sides) -> None:
    accepted = settlement()
    await sides.start(accepted)
    before = await sides.ledger.find(accepted.settlement_id)
    await sides.forget(accepted)
    await sides.wait_until_listed()
    await sides.round()
    assert await sides.ledger.find(accepted.settlement_id) == before


async def test_settlements_ended_since_a_restored_backup_are_inserted_completely(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a GET would answer 404 for a settled order, and it could be posted and adjusted again.

    The scan starts at the last round that the backup contains, so the age of the backup does not matter.
    """
    for window in ("RECONCILE_LIST_SLACK", "RECONCILE_FIRST_WINDOW"):
        monkeypatch.setattr(f"settlement.limits.{window}", timedelta(0))
    accepted = settlement()
    await sides.round()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        ended = await end_of(await sides.start(accepted))
        before = await sides.ledger.find(accepted.settlement_id)
        await sides.forget(accepted)
        await sides.wait_until_listed("Completed")
        await sides.round()
    assert await sides.recorded(accepted) == ended
    assert await sides.ledger.find(accepted.settlement_id) == before
    assert await sides.found() == [(GONE, REPAIRED)]


async def test_a_second_settlement_of_an_order_stays_missing_and_the_finding_says_why(sides: Sides) -> None:
    """The backup lacked it, its company had moved, and the order was repeated: both brokers may hold the amount."""
    accepted = settlement(system="alpha")
    moved = accepted.model_copy(update={"system": "beta"})
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        await end_of(await sides.start(accepted))
        await sides.forget(accepted)
        await sides.ledger.accept(moved, accepted_snapshot(moved))
        await sides.wait_until_listed("Completed")
        await sides.round()
    [finding] = await sides.findings()
    assert (finding.kind, finding.status, finding.system) == (GONE, FindingStatus.OPEN, "alpha")
    assert f"the ledger has {moved.settlement_id} with the same requestUniqueNo and company" in finding.detail
    assert await sides.ledger.with_number(accepted.adjust.requestUniqueNo) == [moved.settlement_id]


async def test_a_lost_row_is_written_again_although_another_system_has_its_number(sides: Sides) -> None:
    lost_one = settlement(system="alpha", company_id=7)
    other = settlement(system="beta", company_id=8, requestUniqueNo=lost_one.adjust.requestUniqueNo)
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        ended = await end_of(await sides.start(lost_one))
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        other_ended = await end_of(await sides.start(other))
        await sides.forget(lost_one)
        await sides.wait_until_listed("Completed")
        await sides.round()
    assert await sides.recorded(lost_one) == ended
    assert await sides.recorded(other) == other_ended
    assert [(each.kind, each.status, each.system) for each in await sides.findings()] == [(GONE, REPAIRED, "alpha")]


async def test_the_end_of_a_workflow_that_cannot_be_replayed_is_recorded_without_its_calls(sides: Sides) -> None:
    """Otherwise the row would have no decision, and after the retention the order would be cancelled."""
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        await end_of(await sides.start(accepted))
    await sides.forget(accepted)
    await sides.wait_until_listed("Completed")
    async with PatientWorker(
        sides.temporal,
        task_queue=SETTLEMENT_TASK_QUEUE,
        workflows=[OtherRelease],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=0,
    ):
        await sides.round()
    recorded = await sides.recorded(accepted)
    assert recorded is not None
    assert (recorded.state, recorded.decision, recorded.calls) == (State.SETTLED, Decision.PROCEED, ())
