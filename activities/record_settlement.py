"""Write to the ledger what a settlement's workflow knows."""

from datetime import UTC, datetime

import structlog
from temporalio import activity

from activities.metrics import count_ledger_write
from ledger import DecisionConflictError, Findings, Ledger
from settlement.reconciliation import FindingKind
from settlement.tasks import RecordResult, RecordTask

log = structlog.get_logger()


class RecordSettlement:
    """Declares the activity, and holds the ledger that it writes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._findings = Findings(ledger.engine)

    @activity.defn(name="record_settlement")
    async def record_settlement(self, task: RecordTask) -> RecordResult:
        """Write what is new in a snapshot. Repeating it, or writing an older one, changes nothing.

        An opposite decision in the ledger stays: it is reported once, as an open finding, and is not retried.
        Any database error is raised, for Temporal to retry for as long as the outage lasts: it delays
        the row and holds up neither the decision nor the compensation.
        """
        try:
            result = await self._record(task)
        except Exception:
            count_ledger_write(activity.metric_meter(), ok=False)
            raise
        count_ledger_write(activity.metric_meter(), ok=result is not RecordResult.DECISION_CONFLICT)
        return result

    async def _record(self, task: RecordTask) -> RecordResult:
        try:
            if task.settlement is None:
                return await self._ledger.record_since(task.request_unique_no, task.since_version, task.snapshot)
            written = await self._ledger.record(task.settlement, task.snapshot)
        except DecisionConflictError as error:
            await self._report(task.request_unique_no, error)
            return RecordResult.DECISION_CONFLICT
        return RecordResult.RECORDED if written else RecordResult.NOT_NEWER

    async def _report(self, number: str, error: DecisionConflictError) -> None:
        """Open a finding, unless an operator has closed the one of this very conflict."""
        kind, detail = FindingKind.DECISION_CONFLICT, error.detail
        if await self._findings.see(kind, number, detail, round_started_at=datetime.now(UTC)) is not None:
            log.error("an operator must act", settlement=number, finding=kind, detail=detail)
