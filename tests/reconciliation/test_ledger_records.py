"""Reconciliation writes to the ledger what only the workflow has, unless that would change a decision."""

from datetime import UTC, datetime, timedelta

import pytest
from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.reconciliation.diagnose import Execution
from activities.reconciliation.temporal_workflows import SettlementWorkflows
from settlement.reconciliation import FindingKind, FindingStatus
from settlement.snapshot import Snapshot
from settlement.start import SettlementStart, accepted_snapshot
from settlement.states import CancelResult, Decision, State, decision_of
from tests.reconciliation.conftest import Sides
from tests.support import lost
from tests.support.orders import QUICK_POLICY, settlement
from tests.support.polling import until
from tests.support.scripted import APPLIED, REVERSED, UNKNOWN, Gate, ScriptedExternalSystem
from tests.support.stories import FAILED, RESOLVE
from workflows.order_settlement import OrderSettlement
from workflows.runtime import SETTLEMENT_TASK_QUEUE
from workflows.start import start_workflow

REPAIRED, OPEN, CLEARED = FindingStatus.REPAIRED, FindingStatus.OPEN, FindingStatus.CLEARED
CLOSED, CONFLICT = FindingStatus.CLOSED, FindingKind.DECISION_CONFLICT
BEHIND, GONE, AHEAD = FindingKind.LEDGER_BEHIND, FindingKind.LEDGER_MISSING, FindingKind.LEDGER_AHEAD
ONE_ATTEMPT = QUICK_POLICY.model_copy(update={"cancel_max_attempts": 1})
LONG_AGO = timedelta(hours=1)


async def test_an_end_lost_by_a_restored_backup_is_recorded_again(sides: Sides) -> None:
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        ended = await (await sides.start(accepted)).result()
        await sides.restore_older(accepted, accepted_snapshot(accepted))
        await sides.round()
    assert await sides.recorded(accepted) == ended
    assert await sides.found() == [(BEHIND, REPAIRED)]


async def test_an_end_with_a_lower_version_is_recorded_with_a_higher_one_and_all_calls(sides: Sides) -> None:
    """Temporal was restored and reached the end differently. Without this, the ledger would never record it."""
    accepted = settlement()
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED])
    async with sides.working(external):
        ended = await (await sides.start(accepted)).result()
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


async def test_opposite_decisions_need_an_operator(sides: Sides) -> None:
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        await (await sides.start(accepted)).result()
        void = await sides.restore_older(accepted, lost.cancelling(accepted).model_copy(update={"version": 1}))
        await sides.round()
    assert await sides.recorded(accepted) == void
    (finding,) = await sides.findings()
    assert (finding.kind, finding.status) == (CONFLICT, OPEN)
    assert "VOID" in finding.detail
    assert "PROCEED" in finding.detail


async def close_by_hand(sides: Sides) -> None:
    """Close the one open finding, as an operator does."""
    (finding,) = (await sides.record.page(status=OPEN, before=None, limit=10)).items
    await sides.record.close(finding.finding_id, CLOSED, "closed by ops-1: by hand", datetime.now(UTC))


async def test_two_decisions_that_an_operator_has_closed_stay_closed_until_something_new_is_found(
    sides: Sides,
) -> None:
    """Temporal still has the workflow, so that every round sees the same two decisions again."""
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        await (await sides.start(accepted)).result()
    await sides.restore_older(accepted, lost.cancelling(accepted))
    await sides.round()
    await close_by_hand(sides)
    for _ in range(2):
        ended = await sides.round()
        assert (ended.ledger_checked, ended.found, ended.open_findings) == (1, 0, 0)
    assert await sides.found() == [(CONFLICT, CLOSED)]
    await sides.restore_older(accepted, lost.aborted(accepted))
    assert (await sides.round()).open_findings == 1
    assert await sides.found() == [(CONFLICT, CLOSED), (CONFLICT, OPEN)]


async def test_two_decisions_that_the_workflow_itself_reported_stay_closed_too(sides: Sides) -> None:
    accepted = settlement()
    await sides.ledger.record(accepted, lost.cancelling(accepted))
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        await (await start_workflow(sides.temporal, accepted)).result()
    assert await sides.found() == [(CONFLICT, OPEN)]
    await close_by_hand(sides)
    await sides.round()
    assert await sides.found() == [(CONFLICT, CLOSED)]


async def test_a_row_lost_by_a_restored_backup_is_inserted_completely(sides: Sides) -> None:
    accepted = settlement(policy=ONE_ATTEMPT)
    async with sides.working(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED])):
        await sides.start(accepted)
        aborted = await sides.records(accepted, State.ABORTED)
        before = await sides.ledger.find(accepted.adjust.requestUniqueNo)
        await sides.forget(accepted)
        await wait_until_listed(sides)
        ended = await sides.round()
    assert await sides.recorded(accepted) == aborted
    assert await sides.ledger.find(accepted.adjust.requestUniqueNo) == before
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
        await wait_until_listed(sides, "Terminated")
        await sides.round()
        snapshot = await sides.handle(accepted).result()
        gate.opened.set()
    assert snapshot.state is State.CANCELLED
    assert await sides.recorded(accepted) == snapshot
    assert len({body.model_dump_json() for body in external.cancels}) == 1
    assert await sides.found() == [(GONE, REPAIRED), (FindingKind.WORKFLOW_ENDED_FROM_OUTSIDE, REPAIRED)]


@pytest.mark.usefixtures("_short_of_patience")
async def test_without_a_worker_a_lost_row_is_inserted_as_accepted(sides: Sides) -> None:
    accepted = settlement()
    await sides.start(accepted)
    before = await sides.ledger.find(accepted.adjust.requestUniqueNo)
    await sides.forget(accepted)
    await wait_until_listed(sides)
    await sides.round()
    assert await sides.ledger.find(accepted.adjust.requestUniqueNo) == before


async def test_an_open_workflow_of_an_ended_row_needs_an_operator(sides: Sides) -> None:
    """It is unknown which side is right; the workflow may be about to send a cancel."""
    gate = Gate(APPLIED)
    external = ScriptedExternalSystem(adjust=gate)
    accepted = settlement()
    async with sides.working(external):
        handle = await sides.start(accepted)
        await gate.reached.wait()
        void = Snapshot(version=1, state=State.CANCELLED, decision=Decision.VOID, updated_at=accepted.accepted_at)
        await sides.ledger.record(accepted, void)
        await wait_until_listed(sides)
        for _ in range(2):
            await sides.round()
        assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
        (finding,) = await sides.findings()
        assert (finding.kind, finding.status, finding.rounds) == (AHEAD, OPEN, 2)
        await handle.terminate()
        gate.opened.set()
        await sides.round()
    assert await sides.recorded(accepted) == void
    (finding,) = await sides.findings()
    assert (finding.status, finding.rounds) == (CLEARED, 2)
    assert finding.closed_at is not None


async def test_an_end_on_both_sides_is_no_mismatch(sides: Sides) -> None:
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        await (await sides.start(accepted)).result()
        await wait_until_listed(sides, "Completed")
        ended = await sides.round()
    assert (ended.ledger_checked, ended.temporal_checked, ended.found, ended.complete) == (0, 1, 0, True)


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
        ended = await (await sides.start(accepted)).result()
        before = await sides.ledger.find(accepted.adjust.requestUniqueNo)
        await sides.forget(accepted)
        await wait_until_listed(sides, "Completed")
        await sides.round()
    assert await sides.recorded(accepted) == ended
    assert await sides.ledger.find(accepted.adjust.requestUniqueNo) == before
    assert await sides.found() == [(GONE, REPAIRED)]


@workflow.defn(name="OrderSettlement")
class Broken(OrderSettlement):
    """A workflow with a bug: its task always fails."""

    @workflow.run
    async def run(self, settlement: SettlementStart) -> Snapshot:  # noqa: ARG002 - the workflow's own signature
        """Fail."""
        message = "a fault of ours"
        raise RuntimeError(message)


async def test_a_finding_of_a_failing_workflow_task_is_open_until_the_code_is_fixed(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fifth attempt comes after most of a minute.
    monkeypatch.setattr("settlement.limits.RECONCILE_STUCK_ATTEMPTS", 2)
    accepted = settlement()
    handle = await sides.start(accepted)
    broken = Worker(
        sides.temporal,
        task_queue=SETTLEMENT_TASK_QUEUE,
        workflows=[Broken],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=0,
    )
    async with broken:

        async def stuck() -> bool:
            await sides.round()
            return bool(await sides.found())

        await until(stuck, limit_s=60, what="failed attempts")
    (finding,) = await sides.findings()
    assert (finding.kind, finding.status) == (FindingKind.WORKFLOW_STUCK, OPEN)
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        await handle.result()
        await sides.round()
    (finding,) = await sides.findings()
    assert finding.status is CLEARED
    ended = await sides.recorded(accepted)
    assert ended is not None
    assert ended.decision is decision_of(State.SETTLED)


async def wait_until_listed(sides: Sides, status: str = "Running") -> None:
    """Wait until Temporal's list shows a settlement; the list is updated with a delay."""
    query = f"WorkflowType = 'OrderSettlement' AND ExecutionStatus = '{status}'"

    async def probe() -> bool:
        return bool([each async for each in sides.temporal.list_workflows(query)])

    await until(probe, what="the list to show it")


async def test_a_workflow_with_a_foreign_id_is_no_finding(sides: Sides) -> None:
    """A workflow of this type with an id that no number produces, for example from a manual test."""
    start = settlement(accepted_at=datetime.now(UTC) - LONG_AGO)
    for stranger in ("tried-out", "settlement-with/slash"):
        await sides.temporal.start_workflow(
            "OrderSettlement", start, id=stranger, task_queue="nobody", static_summary="tried out"
        )
    await wait_until_listed(sides)
    ended = await sides.round()
    assert (ended.found, ended.complete) == (0, True)


async def test_a_settlement_that_ends_while_it_is_examined_is_no_finding(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row was read before its last write, and Temporal was queried after it."""
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        ended = await (await sides.start(accepted)).result()
    await sides.restore_older(accepted, accepted_snapshot(accepted))
    ask = SettlementWorkflows.snapshot

    async def ask_while_the_write_arrives(
        workflows: SettlementWorkflows, number: str, execution: Execution
    ) -> Snapshot | None:
        await sides.ledger.record(accepted, ended)
        return await ask(workflows, number, execution)

    monkeypatch.setattr(SettlementWorkflows, "snapshot", ask_while_the_write_arrives)
    await sides.round()
    assert await sides.found() == []
    assert await sides.recorded(accepted) == ended
