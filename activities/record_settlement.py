"""The activities that write a settlement's snapshot to the ledger."""

import asyncio
from datetime import UTC, datetime

import structlog
from temporalio import activity

from activities.local_decisions import LocalDecisions
from activities.metrics import count_ledger_write
from ledger import DecisionConflictError, Findings, Ledger
from settlement.ids import SettlementId
from settlement.limits import RECORD_AT_ONCE_S
from settlement.reconciliation import FindingKind
from settlement.tasks import RecordResult, RecordTask

log = structlog.get_logger()


class RecordSettlement:
    """The activities `record_settlement` and `record_at_once`, with their ledger."""

    def __init__(self, ledger: Ledger, decisions: LocalDecisions | None = None) -> None:
        self._ledger = ledger
        self._decisions = decisions
        self._findings = Findings(ledger.engine)

    @activity.defn(name="record_settlement")
    async def record_settlement(self, task: RecordTask) -> RecordResult:
        """Write the new part of a snapshot. Repeating it, or writing an older snapshot, changes nothing.

        If the ledger has the opposite decision, nothing is written: the conflict becomes an open finding, and the
        result is DECISION_CONFLICT. Raises any database error. Temporal then retries until the database is available.
        An outage delays the row, but neither the decision nor the compensation.

        Raises NumberConflictError, which retries do not end. Reconciliation reports it as the finding LEDGER_MISSING.
        """
        try:
            result = await self._record(task)
        except Exception:
            count_ledger_write(activity.metric_meter(), ok=False)
            raise
        count_ledger_write(activity.metric_meter(), ok=result is not RecordResult.DECISION_CONFLICT)
        return result

    @activity.defn(name="record_at_once")
    async def record_at_once(self, task: RecordTask) -> RecordResult:
        """Write the new part of a snapshot within a workflow task, as a local activity (ADR 0023).

        As `record_settlement`, except that it takes at most `RECORD_AT_ONCE_S` and raises no error. If the ledger does
        not answer in time, or fails, the result is NO_ANSWER: the workflow then schedules `record_settlement`. The
        callers of this process that wait for the decision are told it, or that they must ask the workflow.
        """
        try:
            async with asyncio.timeout(RECORD_AT_ONCE_S):
                result = await self.record_settlement(task)
        except Exception as error:  # noqa: BLE001 - whatever it is, the durable write reports it if it lasts
            log.warning("not written at once", settlement=str(task.settlement_id), error=type(error).__name__)
            if isinstance(error, TimeoutError):  # the cancelled write has not been counted
                count_ledger_write(activity.metric_meter(), ok=False)
            result = RecordResult.NO_ANSWER
        if self._decisions is not None and task.snapshot.decision is not None:
            self._decisions.tell(task.settlement_id, task.snapshot if result is RecordResult.RECORDED else None)
        return result

    async def _record(self, task: RecordTask) -> RecordResult:
        try:
            if task.settlement is None:
                return await self._ledger.record_since(task.settlement_id, task.since_version, task.snapshot)
            written = await self._ledger.record(task.settlement, task.snapshot)
        except DecisionConflictError as error:
            await self._report(task.settlement_id, error)
            return RecordResult.DECISION_CONFLICT
        return RecordResult.RECORDED if written else RecordResult.NOT_NEWER

    async def _report(self, settlement_id: SettlementId, error: DecisionConflictError) -> None:
        """Record the conflict as a finding, unless an operator has closed the finding of the same conflict."""
        kind, detail = FindingKind.DECISION_CONFLICT, error.detail
        if await self._findings.report(kind, settlement_id, detail, round_started_at=datetime.now(UTC)) is not None:
            log.error(
                "an operator must act: decision conflict", settlement=str(settlement_id), finding=kind, detail=detail
            )
