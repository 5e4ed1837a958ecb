"""Write the saga's snapshots to the ledger in the background. A decision never waits for these writes."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from activities.record_settlement import RecordSettlement
from settlement.audit_window import UNRECORDED_BYTES_MAX, audit_counts, leave_out, unrecorded_bytes
from settlement.limits import RECORD_START_TO_CLOSE
from settlement.snapshot import AuditCounts, Snapshot
from settlement.start import Carried, SettlementStart, accepted_input
from settlement.tasks import RecordResult, RecordTask
from workflows.runtime import LEDGER_TASK_QUEUE
from workflows.saga_state import SagaState

RECORD_RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30))
"""No limit on attempts: a ledger outage delays rows and loses none."""


class Journal:
    """Writes what is new in the snapshot, one write at a time. A change during a write goes into the next write."""

    def __init__(self, settlement: SettlementStart, saga: SagaState) -> None:
        self._settlement = settlement
        self._saga = saga
        carried = settlement.carried
        self._recorded_version = carried.recorded_version if carried else 0
        self._recorded = carried.recorded if carried else AuditCounts()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start the background task that writes every change."""
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Wait, without a time limit, until the ledger has the newest snapshot."""
        await workflow.wait_condition(lambda: not self._behind())
        if self._task is not None:
            self._task.cancel()

    def has_room(self) -> bool:
        """Return whether a payload has room for another round and the audit entries not yet in the ledger."""
        return not self._behind() or unrecorded_bytes(self._saga.snapshot, self._recorded) <= UNRECORDED_BYTES_MAX

    def carry(self) -> Carried:
        """Return what the next run of this workflow starts from."""
        return Carried(
            snapshot=self._saga.snapshot,
            round=self._saga.round,
            recorded_version=self._recorded_version,
            recorded=self._recorded,
        )

    def _behind(self) -> bool:
        return self._recorded_version < self._saga.snapshot.version

    async def _follow(self) -> None:
        while True:
            await workflow.wait_condition(self._behind)
            snapshot = self._saga.snapshot
            try:
                result = await self._write(snapshot)
            except ActivityError:
                # The retries have no limit, so only an operator can end this activity by hand. The ledger must still
                # get the snapshot, so the write starts again.
                workflow.logger.exception("a ledger write was ended by hand; it starts again")
            else:
                self._apply(result, snapshot)

    def _apply(self, result: RecordResult, written: Snapshot) -> None:
        if result is RecordResult.LEDGER_BEHIND:
            workflow.logger.warning("the ledger has lost rows; the whole snapshot is written again")
            self._recorded_version, self._recorded = 0, AuditCounts()
            return
        self._recorded_version = written.version
        if result is RecordResult.RECORDED:
            self._recorded = audit_counts(written)
            self._saga.leave_out(self._recorded)
        elif result is RecordResult.DECISION_CONFLICT:
            self._saga.show_decision_conflict()
        # NOT_NEWER: another write came first and may have carried fewer entries, so the next write carries these again.

    async def _write(self, snapshot: Snapshot) -> RecordResult:
        return await workflow.execute_activity_method(
            RecordSettlement.record_settlement,
            RecordTask(
                settlement_id=self._settlement.settlement_id,
                since_version=self._recorded_version,
                snapshot=leave_out(snapshot, self._recorded),
                settlement=None if self._recorded_version else accepted_input(self._settlement),
            ),
            task_queue=LEDGER_TASK_QUEUE,
            start_to_close_timeout=RECORD_START_TO_CLOSE,
            retry_policy=RECORD_RETRY,
            summary=f"write {snapshot.state} to the ledger",
        )
