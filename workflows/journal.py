"""Bring what the workflow knows into the ledger, without ever being waited for on the way to a decision."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.record_settlement import RecordSettlement
    from contract.limits import RECORD_START_TO_CLOSE
    from contract.payloads import RecordTask, SettlementInput, Snapshot

from workflows.runtime import LEDGER_TASK_QUEUE
from workflows.saga_state import SagaState

RECORD_RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30))
"""Without an end: a ledger outage delays rows and loses none."""


class Journal:
    """Writes the newest snapshot, one write at a time; what changes meanwhile goes into the next one."""

    def __init__(self, settlement: SettlementInput, saga: SagaState) -> None:
        self._settlement = settlement
        self._saga = saga
        self._written_version = 0
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to follow the saga in the background."""
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Wait until the newest snapshot is in the ledger, however long that takes."""
        await workflow.wait_condition(lambda: not self._behind())
        if self._task is not None:
            self._task.cancel()

    def _behind(self) -> bool:
        return self._written_version < self._saga.snapshot.version

    async def _follow(self) -> None:
        while True:
            await workflow.wait_condition(self._behind)
            snapshot = self._saga.snapshot
            try:
                await self._write(snapshot)
            except ActivityError:
                # Only a person can end it, from the UI or the command line. What they could not want is
                # a settlement that the ledger never hears of again.
                workflow.logger.exception("a ledger write was ended by hand; it begins anew")
            else:
                self._written_version = snapshot.version

    async def _write(self, snapshot: Snapshot) -> None:
        await workflow.execute_activity_method(
            RecordSettlement.record_settlement,
            RecordTask(settlement=self._settlement, snapshot=snapshot),
            task_queue=LEDGER_TASK_QUEUE,
            start_to_close_timeout=RECORD_START_TO_CLOSE,
            retry_policy=RECORD_RETRY,
            summary=f"write {snapshot.state} to the ledger",
        )
