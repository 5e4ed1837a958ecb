"""Terminates workflows, and lets the product's own reconciliation take them up."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.testservice.v1 import UnlockTimeSkippingRequest
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from activities.reconciliation.repair import Reconciler
from ledger import Ledger
from settlement import limits
from settlement.start import SettlementInput, TakeUp
from settlement.states import END_STATES, State
from tests.simulation.simulated_settlement import SimulatedSettlement
from tests.support.polling import until
from workflows.order_settlement import OrderSettlement
from workflows.start import take_up

ANY_AGE_S = -1e9
"""The server's clock is ahead of the one that reconciliation reads, so no minimum age must apply."""
TAKEN_UP_WITHIN_S = 60


@contextmanager
def no_minimum_age() -> Iterator[None]:
    """Let reconciliation examine settlements of any age."""
    with patch.multiple(limits, RECONCILE_UNCHANGED_S=ANY_AGE_S, RECONCILE_LEDGER_DELAY_MAX_S=ANY_AGE_S):
        yield


class WorkflowLosses:
    """Terminates workflows and takes them up by the rules of reconciliation."""

    def __init__(
        self, environment: WorkflowEnvironment, ledger: Ledger, settlements: dict[str, SimulatedSettlement]
    ) -> None:
        self._client: Client = environment.client
        self._ledger = ledger
        self._settlements = settlements
        self._in_progress = set[asyncio.Task[None]]()
        self._reconciler = Reconciler(self._client, ledger.engine, self._start)

    async def lose(self, simulated: SimulatedSettlement) -> None:
        """Terminate the workflow of a settlement, and wait until another workflow runs or the ledger has its end state.

        A closed workflow is left alone. An attempt of the terminated workflow that called this is cancelled; this
        operation continues nevertheless.
        """
        losing = asyncio.create_task(self._lose(simulated))
        self._in_progress.add(losing)
        losing.add_done_callback(self._in_progress.discard)
        await asyncio.shield(losing)

    async def _lose(self, simulated: SimulatedSettlement) -> None:
        async with simulated.replacing:
            assert simulated.handle is not None
            run_id = (await simulated.handle.describe()).run_id
            run: WorkflowHandle[OrderSettlement, State] = self._client.get_workflow_handle(
                simulated.handle.id, run_id=run_id
            )
            try:
                await run.terminate("simulated loss")
            except RPCError:
                return
            simulated.lost_runs.append(run_id)
            await self._unlock_time_skipping(run)
            lost = simulated.handle
            await until(lambda: self._is_found(simulated, lost), limit_s=TAKEN_UP_WITHIN_S, what="the take-up")

    async def _start(self, client: Client, settlement: SettlementInput, taken_up: TakeUp) -> None:
        simulated = self._settlements[settlement.adjust.requestUniqueNo]
        simulated.handle = await take_up(client, settlement, taken_up)

    async def _is_found(self, simulated: SimulatedSettlement, lost: WorkflowHandle[OrderSettlement, State]) -> bool:
        """Examine the settlement as a round does; return whether a new workflow runs or the ledger has an end state."""
        # After an error the next probe tries again.
        with suppress(RPCError, SQLAlchemyError):
            if simulated.handle is lost:
                await self._reconciler.examine(simulated.settlement.settlement_id, datetime.now(UTC))
            if simulated.handle is None or simulated.handle is lost:
                found = await self._ledger.find(simulated.settlement.settlement_id)
                return found is not None and found.snapshot.state in END_STATES
            return _has_begun(await simulated.handle.fetch_history())
        return False

    async def _unlock_time_skipping(self, run: WorkflowHandle[Any, Any]) -> None:
        """Allow time skipping again: the server never releases the open tasks of a terminated workflow."""
        pending = (await run.describe()).raw_description.pending_activities
        held = sum(not _waits_for_next_attempt(each) for each in pending)
        held += _has_an_open_task(await run.fetch_history())
        for _ in range(held):
            await self._client.test_service.unlock_time_skipping(UnlockTimeSkippingRequest())


def _waits_for_next_attempt(activity: PendingActivityInfo) -> bool:
    if not activity.HasField("last_attempt_complete_time"):
        return False
    ended, began = activity.last_attempt_complete_time, activity.last_started_time
    return ended.ToNanoseconds() >= began.ToNanoseconds()


def _has_begun(history: WorkflowHistory) -> bool:
    return any(event.HasField("workflow_task_completed_event_attributes") for event in history.events)


def _has_an_open_task(history: WorkflowHistory) -> bool:
    is_open = False
    for event in history.events:
        kind = event.WhichOneof("attributes") or ""
        if kind.startswith("workflow_task_"):
            is_open = kind in {"workflow_task_scheduled_event_attributes", "workflow_task_started_event_attributes"}
    return is_open
