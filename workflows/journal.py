"""Write the saga's snapshots to the ledger. A decision, and the cancel after it, wait for one short write at most."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, FailureError

from activities.record_settlement import RecordSettlement
from settlement.audit_window import UNRECORDED_BYTES_MAX, audit_counts, leave_out, unrecorded_bytes
from settlement.limits import RECORD_AT_ONCE_START_TO_CLOSE, RECORD_START_TO_CLOSE
from settlement.snapshot import AuditCounts, Snapshot
from settlement.start import Carried, SettlementStart, accepted_input
from settlement.states import END_STATES, Decision, State
from settlement.tasks import RecordResult, RecordTask
from workflows.runtime import LEDGER_TASK_QUEUE
from workflows.saga_state import SagaState
from workflows.visibility import mark_state

RECORD_RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30))
"""No limit on attempts: a ledger outage delays rows and loses none."""
RECORD_AT_ONCE_RETRY = RetryPolicy(maximum_attempts=1)


class Journal:
    """Writes what is new in the snapshot, one write at a time. A change during a write goes into the next write.

    The decision and the end are written at once, by a local activity within the workflow task that learned them
    (ADR 0023). If the ledger does not answer in time, and for every other change, an activity writes durably. What an
    operator's Update changes is only written durably: if the workflow task is lost, so is its Update.
    """

    def __init__(self, settlement: SettlementStart, saga: SagaState) -> None:
        self._settlement = settlement
        self._saga = saga
        carried = settlement.carried
        self._recorded_version = carried.recorded_version if carried else 0
        self._recorded = carried.recorded if carried else AuditCounts()
        self._decision_tried = saga.snapshot.decision is not None
        self._writes_durably = False
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

    def may_tell_decision(self) -> bool:
        """Return whether the decision is made, and the short wait for its ledger row is over.

        After this a read of the ledger shows the decision, unless the ledger did not answer in time.
        """
        decision = self._saga.snapshot.decision
        # PROCEED always waits: before the try, neither the ledger nor Temporal's search attribute shows it.
        waits_for_outage = self._writes_durably and decision is not Decision.PROCEED
        return decision is not None and (self._decision_tried or waits_for_outage)

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
        task = RecordTask(
            settlement_id=self._settlement.settlement_id,
            since_version=self._recorded_version,
            snapshot=leave_out(snapshot, self._recorded),
            settlement=None if self._recorded_version else accepted_input(self._settlement),
        )
        decides = snapshot.decision is not None and not self._decision_tried
        if decides or snapshot.state in END_STATES - {State.RESOLVED}:
            result = await self._write_at_once(task)
            self._decision_tried = True
            if result is not RecordResult.NO_ANSWER:
                return result
            if snapshot.state is State.SETTLED:
                # The workflow stays open until the ledger answers. Reconciliation and the Temporal UI must see why.
                mark_state(snapshot.state)
        return await self._write_durably(task)

    async def _write_at_once(self, task: RecordTask) -> RecordResult:
        try:
            return await workflow.execute_local_activity_method(
                RecordSettlement.record_at_once,
                task,
                start_to_close_timeout=RECORD_AT_ONCE_START_TO_CLOSE,
                retry_policy=RECORD_AT_ONCE_RETRY,
            )
        except FailureError as error:
            # Not ActivityError: a replay raises the TimeoutError of a local activity without the ActivityError around
            # it (temporalio 1.35). With another type here, the workflow could not be continued after a restart.
            workflow.logger.warning("not written at once", extra={"error": type(error).__name__})
            return RecordResult.NO_ANSWER

    async def _write_durably(self, task: RecordTask) -> RecordResult:
        self._writes_durably = True
        try:
            return await workflow.execute_activity_method(
                RecordSettlement.record_settlement,
                task,
                task_queue=LEDGER_TASK_QUEUE,
                start_to_close_timeout=RECORD_START_TO_CLOSE,
                retry_policy=RECORD_RETRY,
                summary=f"write {task.snapshot.state} to the ledger",
            )
        finally:
            self._writes_durably = False
            # A decision that was made meanwhile has been told. Later writes may contain an operator's Update.
            self._decision_tried |= self._saga.snapshot.decision is not None
