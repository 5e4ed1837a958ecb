"""A finding stays open for an operator where reconciliation cannot be certain of a repair."""

from datetime import UTC, datetime

import pytest
from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus
from temporalio.worker import UnsandboxedWorkflowRunner

from settlement.reconciliation import FindingKind, FindingStatus
from settlement.snapshot import Snapshot
from settlement.start import SettlementStart
from settlement.states import Decision, State, decision_of
from tests.reconciliation.conftest import Sides
from tests.support import lost
from tests.support.orders import settlement
from tests.support.patient_worker import PatientWorker
from tests.support.polling import until
from tests.support.sagas import end_of
from tests.support.scripted import APPLIED, Gate, ScriptedExternalSystem
from workflows.order_settlement import OrderSettlement
from workflows.runtime import SETTLEMENT_TASK_QUEUE
from workflows.start import start_workflow

OPEN, CLEARED, CLOSED = FindingStatus.OPEN, FindingStatus.CLEARED, FindingStatus.CLOSED
CONFLICT, AHEAD = FindingKind.DECISION_CONFLICT, FindingKind.LEDGER_AHEAD


async def close_by_hand(sides: Sides) -> None:
    """Close the one open finding, as an operator does."""
    (finding,) = (await sides.record.page(status=OPEN, before=None, limit=10)).items
    await sides.record.close(finding.finding_id, CLOSED, "closed by ops-1: by hand", datetime.now(UTC))


async def test_opposite_decisions_need_an_operator(sides: Sides) -> None:
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        await end_of(await sides.start(accepted))
        void = await sides.restore_older(accepted, lost.cancelling(accepted).model_copy(update={"version": 1}))
        await sides.round()
    assert await sides.recorded(accepted) == void
    (finding,) = await sides.findings()
    assert (finding.kind, finding.status) == (CONFLICT, OPEN)
    assert "VOID" in finding.detail
    assert "PROCEED" in finding.detail


async def test_two_decisions_that_an_operator_has_closed_stay_closed_until_something_new_is_found(
    sides: Sides,
) -> None:
    """Temporal still has the workflow, so that every round sees the same two decisions again."""
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        await end_of(await sides.start(accepted))
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
        await end_of(await start_workflow(sides.temporal, accepted))
    assert await sides.found() == [(CONFLICT, OPEN)]
    await close_by_hand(sides)
    await sides.round()
    assert await sides.found() == [(CONFLICT, CLOSED)]


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
        await sides.wait_until_listed()
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


@workflow.defn(name="OrderSettlement")
class Broken(OrderSettlement):
    """A workflow with a bug: its task always fails."""

    @workflow.run
    async def run(self, settlement: SettlementStart) -> State:  # noqa: ARG002 - the workflow's own signature
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
    broken = PatientWorker(
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
