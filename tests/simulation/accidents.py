"""Accidents with Temporal: a workflow is ended from outside, and the product's own reconciliation goes on for it."""

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
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput, TakeUp
from settlement.states import END_STATES
from tests.simulation.life import Life
from tests.support.polling import until
from workflows.order_settlement import OrderSettlement
from workflows.start import take_up

ANY_AGE_S = -1e9
"""The server's clock runs ahead of the one that reconciliation reads: nothing is too young to be looked at."""
TAKEN_UP_WITHIN_S = 60


@contextmanager
def looked_at_whatever_its_age() -> Iterator[None]:
    """Let reconciliation look at settlements as soon as they are asked about."""
    with patch.multiple(limits, RECONCILE_UNCHANGED_S=ANY_AGE_S, RECONCILE_LEDGER_DELAY_MAX_S=ANY_AGE_S):
        yield


class Accidents:
    """Ends workflows and has them taken up, by reconciliation's own rules."""

    def __init__(self, environment: WorkflowEnvironment, ledger: Ledger, lives: dict[str, Life]) -> None:
        self._client: Client = environment.client
        self._ledger = ledger
        self._lives = lives
        self._under_way = set[asyncio.Task[None]]()
        self._reconciler = Reconciler(self._client, ledger.engine, self._start)

    async def lose(self, life: Life) -> None:
        """Terminate the workflow of a settlement, and let it be found, until another one goes on or its end is known.

        One that has closed already is left as it is. An attempt that has it done is cancelled with the workflow's
        end, sooner or later; what was begun goes on all the same.
        """
        losing = asyncio.create_task(self._lose(life))
        self._under_way.add(losing)
        losing.add_done_callback(self._under_way.discard)
        await asyncio.shield(losing)

    async def _lose(self, life: Life) -> None:
        async with life.losing:
            assert life.handle is not None
            run_id = (await life.handle.describe()).run_id
            run: WorkflowHandle[OrderSettlement, Snapshot] = self._client.get_workflow_handle(
                life.handle.id, run_id=run_id, result_type=Snapshot
            )
            try:
                await run.terminate("an accident")
            except RPCError:
                return
            life.lost_runs.append(run_id)
            await self._free_the_clock(run)
            lost = life.handle
            await until(lambda: self._is_found(life, lost), limit_s=TAKEN_UP_WITHIN_S, what="the take-up")

    async def _start(self, client: Client, settlement: SettlementInput, taken_up: TakeUp) -> None:
        life = self._lives[settlement.adjust.requestUniqueNo]
        life.handle = await take_up(client, settlement, taken_up)

    async def _is_found(self, life: Life, lost: WorkflowHandle[OrderSettlement, Snapshot]) -> bool:
        """Look, as a round does; tell whether another workflow is at work, or the ledger has the lost one's end."""
        # What is out of reach for a moment is looked at again.
        with suppress(RPCError, SQLAlchemyError):
            if life.handle is lost:
                await self._reconciler.examine(life.number, datetime.now(UTC))
            if life.handle is None or life.handle is lost:
                found = await self._ledger.find(life.number)
                return found is not None and found.snapshot.state in END_STATES
            return _has_begun(await life.handle.fetch_history())
        return False

    async def _free_the_clock(self, run: WorkflowHandle[Any, Any]) -> None:
        """Let time be skipped again: this server never lets go of what a terminated workflow had under way."""
        pending = (await run.describe()).raw_description.pending_activities
        held = sum(not _waits_for_its_next_attempt(each) for each in pending)
        held += _has_an_open_task(await run.fetch_history())
        for _ in range(held):
            await self._client.test_service.unlock_time_skipping(UnlockTimeSkippingRequest())


def _waits_for_its_next_attempt(activity: PendingActivityInfo) -> bool:
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
