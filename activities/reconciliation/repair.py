"""Examines one settlement in ledger and Temporal, records a mismatch as a finding, and repairs it if that is safe."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from activities.reconciliation.diagnose import Repair, diagnose
from activities.reconciliation.mismatch import ExamineResult, Mismatch, PlannedTakeUp
from activities.reconciliation.snapshot_merge import (
    NotRepairedError,
    can_continue_from_ledger,
    newer_snapshot,
    with_higher_version,
)
from activities.reconciliation.temporal_workflows import SettlementWorkflows
from activities.temporal_calls import calling_temporal
from activities.temporal_guard import TemporalGuard, WrongTemporalError
from ledger import (
    DecisionConflictError,
    Findings,
    Ledger,
    NumberConflictError,
    Permit,
    SettlementRecord,
    SettlementSummaries,
    TakeUps,
)
from settlement import limits
from settlement.audit_window import audit_counts, within_window
from settlement.ids import SettlementId
from settlement.reconciliation import FindingKind, FindingStatus, ScanTask
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput, TakeUp, accepted_input, known_at_start
from settlement.states import END_STATES, State

log = structlog.get_logger()

LIMIT_REACHED = (
    f"more than {limits.RECONCILE_TAKE_UPS_MAX} open settlements have lost their workflow; no further workflow is "
    "restarted. Find the cause. If Temporal's data is lost permanently, allow it: settlement allow-take-ups COUNT "
    "--note WHY"
)
"""Detail of the finding TAKE_UP_LIMIT."""
AFTER_ALL_DELAYS = datetime.max.replace(tzinfo=UTC)
"""A time at which all delays in `diagnose` have passed."""

StartTakenUp = Callable[[Client, SettlementInput, TakeUp], Awaitable[object]]
"""Starts a new workflow for a lost one. Passed in, because activities must not import workflows."""

WhyUnusable = Callable[[str], Awaitable[str | None]]
"""Returns why an external system cannot be called; None if it can. Passed in, because only the worker calls one."""


async def _usable(_: str) -> str | None:
    return None


class Reconciler:
    """Examines and repairs settlements. If ledger or Temporal cannot be reached, the error is raised; callers retry."""

    def __init__(
        self,
        temporal: Client,
        engine: AsyncEngine,
        start_taken_up: StartTakenUp,
        why_unusable: WhyUnusable = _usable,
    ) -> None:
        self.workflows = SettlementWorkflows(temporal)
        self.summaries = SettlementSummaries(engine)
        self.findings = Findings(engine)
        self._guard = TemporalGuard(temporal, engine, "reconciliation")
        self._take_ups = TakeUps(engine)
        self._ledger = Ledger(engine)
        self._temporal = temporal
        self._start_taken_up = start_taken_up
        self._why_unusable = why_unusable

    async def check_temporal_identity(self, task: ScanTask) -> None:
        """Check before each page of a round that the ledger is bound to this worker's Temporal namespace.

        The server behind an address may be replaced while the worker runs. If it is another namespace, records a
        finding and raises ApplicationError WRONG_TEMPORAL, which is not retried. Any other error means that the check
        was not possible.
        """
        try:
            await self._guard.check()
        except WrongTemporalError as wrong:
            at = task.round_started_at
            await self.findings.report(FindingKind.WRONG_TEMPORAL, None, str(wrong), round_started_at=at)
            log.error("reconciliation round refused", error=str(wrong))  # noqa: TRY400 - the message is enough
            raise ApplicationError(str(wrong), type=FindingKind.WRONG_TEMPORAL, non_retryable=True) from wrong

    async def examine(self, settlement_id: SettlementId, round_started_at: datetime) -> ExamineResult:
        """Compare one settlement's row with its workflow, and repair a mismatch if that is safe. Repeating it is safe.

        After a mismatch the row is read again. If it has changed, the settlement is in progress, and nothing is done.
        """
        row = (await self.summaries.by_id([settlement_id])).get(settlement_id)
        execution = await self.workflows.execution(settlement_id)
        unusable = await self._why_unusable(settlement_id.system) if row is not None else None
        diagnosis = diagnose(row, execution, datetime.now(UTC), unusable)
        if diagnosis is None:
            return ExamineResult()
        snapshot = None
        if execution is not None and diagnosis.repair is not Repair.NONE:
            snapshot = await self.workflows.snapshot(settlement_id, execution)
        if diagnosis.kind is FindingKind.LEDGER_BEHIND and snapshot is not None and _may_still_arrive(snapshot):
            return ExamineResult()
        if (await self.summaries.by_id([settlement_id])).get(settlement_id) != row:
            return ExamineResult()
        return await self._handle_in_round(Mismatch(settlement_id, execution, snapshot, diagnosis), round_started_at)

    async def restart_aborted(self, settlement_id: SettlementId) -> ExamineResult:
        """Restart the lost workflow of an ABORTED settlement. Repeating it joins the running workflow.

        Used for an operator's action, so that it need not wait for the next round. Nothing else works on an ABORTED
        settlement, so the delays of `diagnose` are not needed. A finding is recorded as in `examine`.
        """
        row = (await self.summaries.by_id([settlement_id])).get(settlement_id)
        execution = await self.workflows.execution(settlement_id)
        if row is None or row.state is not State.ABORTED or (execution is not None and execution.is_open):
            return ExamineResult()
        diagnosis = diagnose(row, execution, AFTER_ALL_DELAYS)
        if diagnosis is None or diagnosis.repair is not Repair.TAKE_UP:
            return ExamineResult()
        snapshot = await self.workflows.snapshot(settlement_id, execution) if execution is not None else None
        return await self._handle(Mismatch(settlement_id, execution, snapshot, diagnosis), datetime.now(UTC))

    async def _handle_in_round(self, mismatch: Mismatch, round_started_at: datetime) -> ExamineResult:
        """Repair a mismatch within the limits of a round: starting a workflow needs a permit.

        A permit is given back unless the workflow was started, or may have been because Temporal did not answer.
        """
        take_up = await self._planned(mismatch)
        if take_up is None or not take_up.needs_workflow:
            return await self._handle(mismatch, round_started_at, take_up)
        permit = await self._permit(round_started_at)
        if permit is None:
            return ExamineResult(mismatch.diagnosis.kind)
        try:
            return await self._handle(mismatch, round_started_at, take_up)
        finally:
            if not take_up.may_be_started:
                await self._take_ups.give_back(permit)

    async def _handle(
        self, mismatch: Mismatch, round_started_at: datetime, take_up: PlannedTakeUp | None = None
    ) -> ExamineResult:
        kind, detail = mismatch.diagnosis.kind, mismatch.diagnosis.detail
        # Recorded before the repair: if this worker is lost during the repair, the next round examines it again.
        finding = await self.findings.report(kind, mismatch.settlement_id, detail, round_started_at=round_started_at)
        if finding is None:
            return ExamineResult()
        repair, reason = await self._try(mismatch, take_up)
        if repair is None:
            await self.findings.update_detail(finding, f"{detail}; {reason}" if reason else detail)
            log.error(
                "an operator must act",
                settlement=str(mismatch.settlement_id),
                finding=kind,
                detail=detail,
                reason=reason,
            )
            return ExamineResult(kind)
        await self.findings.close(finding, FindingStatus.REPAIRED, repair, datetime.now(UTC))
        log.warning(
            "mismatch repaired", settlement=str(mismatch.settlement_id), finding=kind, detail=detail, repair=repair
        )
        return ExamineResult(kind, repaired=True)

    async def _permit(self, round_started_at: datetime) -> Permit | None:
        """Return the permit to restart one more lost workflow. If refused, record one finding and return None."""
        permit = await self._take_ups.permit(round_started_at, limits.RECONCILE_TAKE_UPS_MAX)
        if permit is None:
            kind = FindingKind.TAKE_UP_LIMIT
            await self.findings.report(kind, None, LIMIT_REACHED, round_started_at=round_started_at)
            log.error("an operator must act", finding=kind, detail=LIMIT_REACHED)
        return permit

    async def _try(self, mismatch: Mismatch, take_up: PlannedTakeUp | None) -> tuple[str | None, str]:
        """Repair the mismatch. Return a description of the repair, or None and the reason why it was not repaired."""
        try:
            match mismatch.diagnosis.repair:
                case Repair.TAKE_UP:
                    return await self._take_up(mismatch, take_up or await self._plan(mismatch)), ""
                case Repair.RECORD:
                    return await self._record(mismatch), ""
                case Repair.WRITE_ROW:
                    return await self._write_row(mismatch), ""
                case Repair.NONE:
                    return None, ""
        except (NotRepairedError, DecisionConflictError, NumberConflictError) as error:
            return None, str(error)

    async def _planned(self, mismatch: Mismatch) -> PlannedTakeUp | None:
        """Return the take-up that repairs a mismatch; None if none does, or if it cannot be done."""
        if mismatch.diagnosis.repair is not Repair.TAKE_UP:
            return None
        try:
            return await self._plan(mismatch)
        except NotRepairedError:
            return None

    async def _plan(self, mismatch: Mismatch) -> PlannedTakeUp:
        """Return the snapshot from which a new workflow continues. Raises NotRepairedError if that may be wrong."""
        if await self.findings.is_open(FindingKind.DECISION_CONFLICT, mismatch.settlement_id):
            message = "ledger and workflow had opposite decisions, so a cancel could reverse a settled order"
            raise NotRepairedError(message)
        accepted = await self._accepted(mismatch)
        if mismatch.workflow_snapshot is None and not can_continue_from_ledger(accepted.snapshot, mismatch.execution):
            state = mismatch.execution.state if mismatch.execution else None
            message = f"its workflow was in {state} and does not answer the query; the next round asks again"
            raise NotRepairedError(message)
        return PlannedTakeUp(accepted, newer_snapshot(accepted.snapshot, mismatch.workflow_snapshot))

    async def _take_up(self, mismatch: Mismatch, take_up: PlannedTakeUp) -> str:
        accepted, known = take_up.accepted, take_up.known
        if not take_up.needs_workflow:
            await self._ledger.record(accepted.settlement, with_higher_version(accepted.snapshot, known))
            return f"its end state {known.state} was written to the ledger"
        lost_at = mismatch.execution.closed_at if mismatch.execution else None
        known = within_window(known, recorded=audit_counts(accepted.snapshot))
        taken_up = TakeUp(snapshot=known, reason=mismatch.diagnosis.detail, lost_at=lost_at)
        take_up.may_be_started = True
        try:
            async with calling_temporal(limits.RECONCILE_RPC_S):
                await self._start_taken_up(self._temporal, accepted.settlement, taken_up)
        except WorkflowAlreadyStartedError as error:
            take_up.may_be_started = False
            message = "its workflow has completed in the meantime; the next round examines it again"
            raise NotRepairedError(message) from error
        return f"a new workflow continues it in state {known.state}"

    async def _record(self, mismatch: Mismatch) -> str:
        if mismatch.workflow_snapshot is None:
            message = "its workflow did not answer the query for its snapshot; the next round asks again"
            raise NotRepairedError(message)
        accepted = await self._accepted(mismatch)
        # Raises if the decisions differ, so that nothing is written.
        newer_snapshot(accepted.snapshot, mismatch.workflow_snapshot)
        merged = with_higher_version(accepted.snapshot, mismatch.workflow_snapshot)
        if not await self._ledger.record(accepted.settlement, merged):
            message = "the ledger has more than the workflow; the next round examines it again"
            raise NotRepairedError(message)
        return f"the workflow's snapshot ({mismatch.workflow_snapshot.state}) was written to the ledger"

    async def _write_row(self, mismatch: Mismatch) -> str:
        start = (
            await self.workflows.start_of(mismatch.settlement_id, mismatch.execution)
            if mismatch.execution is not None
            else None
        )
        if start is None or start.settlement_id != mismatch.settlement_id:
            message = "its workflow's input is not an order with this number for this external system"
            raise NotRepairedError(message)
        if mismatch.workflow_snapshot is None and mismatch.execution is not None and mismatch.execution.completed:
            message = "its workflow has completed and does not answer the query; the next round asks again"
            raise NotRepairedError(message)
        settlement = accepted_input(start)
        snapshot = mismatch.workflow_snapshot or known_at_start(start)
        await self._ledger.record(settlement, snapshot)
        source = "input and snapshot" if mismatch.workflow_snapshot else "input; its next ledger write adds the rest"
        return f"the row was inserted from its workflow's {source}"

    async def _accepted(self, mismatch: Mismatch) -> SettlementRecord:
        accepted = await self._ledger.find(mismatch.settlement_id)
        if accepted is None or accepted.snapshot.state in END_STATES:
            message = "the ledger's row has changed in the meantime; the next round examines it again"
            raise NotRepairedError(message)
        return accepted


def _may_still_arrive(snapshot: Snapshot) -> bool:
    """Return whether a snapshot is so new that its regular ledger write may still arrive."""
    return datetime.now(UTC) - snapshot.updated_at < timedelta(seconds=limits.RECONCILE_LEDGER_DELAY_MAX_S)
