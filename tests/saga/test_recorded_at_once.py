"""The decision is in the ledger when the caller learns it, without one more workflow task (ADR 0023)."""

from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import (
    HistoryEvent,
    WorkflowExecutionCancelRequestedEventAttributes,
    WorkflowTaskTimedOutEventAttributes,
)
from temporalio.client import WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from activities import record_settlement
from settlement.calls import Verdict
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import Decision, State
from tests.saga.conftest import StartSaga
from tests.support.ledgers import FlakyLedger, hang
from tests.support.orders import settlement
from tests.support.sagas import Saga, replay, settling, workers
from tests.support.scripted import APPLIED, REJECTED, REVERSED, ScriptedExternalSystem
from workflows import journal
from workflows.order_settlement import OrderSettlement
from workflows.runtime import DATA_CONVERTER, workflow_runner
from workflows.start import DECISION_UPDATE_ID, start_operation
from workflows.visibility import SETTLEMENT_STATE

HAPPY = [
    "workflow_execution_started",
    "workflow_task_scheduled",
    "workflow_task_started",
    "workflow_task_completed",
    "workflow_execution_update_accepted",
    "activity_task_scheduled",
    "activity_task_started",
    "activity_task_completed",
    "workflow_task_scheduled",
    "workflow_task_started",
    "workflow_task_completed",
    "marker_recorded",
    "workflow_execution_update_completed",
    "workflow_execution_completed",
]


class SilentAtFirst(FlakyLedger):
    """Does not answer the first write."""

    writes = 0

    async def record(self, settlement: SettlementInput, snapshot: Snapshot) -> bool:
        """Hang, or write."""
        self.writes += 1
        return await hang() if self.writes == 1 else await super().record(settlement, snapshot)


async def events(saga: Saga) -> list[str]:
    """Return the kinds of the events of its history."""
    history = await saga.handle.fetch_history()
    return [str(event.WhichOneof("attributes")).removesuffix("_event_attributes") for event in history.events]


async def test_an_order_that_settles_costs_fourteen_events(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    start = settlement(accepted_at=await environment.get_current_time())
    operation, external = start_operation(start), ScriptedExternalSystem(adjust=APPLIED)
    async with workers(environment.client, external, ledger):
        decided = await environment.client.execute_update_with_start_workflow(
            OrderSettlement.decision, id=DECISION_UPDATE_ID, start_workflow_operation=operation
        )
        saga = Saga(await operation.workflow_handle(), start, external, ledger)
        assert await saga.recorded() == decided
        await saga.result()
    assert decided.decision is Decision.PROCEED
    assert await events(saga) == HAPPY
    await replay(saga.handle)


async def test_a_void_order_is_recorded_when_its_decision_is_told(saga: StartSaga) -> None:
    async with saga(ScriptedExternalSystem(adjust=REJECTED, cancels=[REVERSED])) as started:
        decided = await started.handle.execute_update(OrderSettlement.decision)
        recorded = await started.recorded()
        assert recorded is not None
        assert (decided.decision, recorded.decision) == (Decision.VOID, Decision.VOID)
        assert recorded.version >= decided.version
        await started.result()
        assert "record_settlement" not in str(await started.handle.fetch_history())


async def test_a_ledger_that_does_not_answer_delays_the_decision_once_and_gets_the_row_later(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    start = settlement(accepted_at=await environment.get_current_time())
    silent = SilentAtFirst(ledger.engine)
    async with settling(environment, silent, ScriptedExternalSystem(adjust=APPLIED), start) as saga:
        await saga.result()
        described = await saga.handle.describe()
    assert silent.writes == 2
    assert described.typed_search_attributes[SETTLEMENT_STATE] == State.SETTLED


@pytest.mark.parametrize("answer", [APPLIED, REJECTED])
async def test_a_local_activity_that_exceeds_its_limit_can_be_replayed(
    environment: WorkflowEnvironment, ledger: FlakyLedger, monkeypatch: pytest.MonkeyPatch, answer: Verdict
) -> None:
    """The limit of the SDK ends it, and a replay raises another exception than the first execution."""
    monkeypatch.setattr(journal, "RECORD_AT_ONCE_START_TO_CLOSE", timedelta(milliseconds=50))
    monkeypatch.setattr(record_settlement, "RECORD_AT_ONCE_S", 30)
    start = settlement(accepted_at=await environment.get_current_time())
    external = ScriptedExternalSystem(adjust=answer, cancels=[REVERSED])
    silent = SilentAtFirst(ledger.engine)
    async with settling(environment, silent, external, start, runner=workflow_runner()) as saga:
        await saga.result()
        assert "record_settlement" in str(await saga.handle.fetch_history())
    assert silent.writes > 1


async def test_a_stop_after_a_lost_workflow_task_does_not_change_the_decision(saga: StartSaga) -> None:
    """The lost task had the result of the adjust alone, and wrote PROCEED. The next one also has the stop."""
    async with saga(ScriptedExternalSystem(adjust=APPLIED)) as started:
        await started.result()
        history = await started.handle.fetch_history()
    kinds = await events(started)
    learned = kinds.index("workflow_task_started", kinds.index("activity_task_completed"))
    scheduled, begun = history.events[learned - 1 : learned + 1]
    lost = HistoryEvent(
        event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
        workflow_task_timed_out_event_attributes=WorkflowTaskTimedOutEventAttributes(
            scheduled_event_id=scheduled.event_id, started_event_id=begun.event_id
        ),
    )
    stop = HistoryEvent(
        event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
        workflow_execution_cancel_requested_event_attributes=WorkflowExecutionCancelRequestedEventAttributes(),
    )
    before, after = history.events[: learned + 1], history.events[learned + 1 :]
    await replay_events(started.handle.id, [*before, lost, stop, scheduled, begun, *after])


async def replay_events(workflow_id: str, events: list[HistoryEvent]) -> None:
    """Replay a history, with ids of its events from 1 on. Raises an error if the commands differ."""
    shift = len(events) - max(event.event_id for event in events)
    numbered = []
    for number, event in enumerate(events, 1):
        copy = HistoryEvent.FromString(event.SerializeToString())
        copy.event_id = number
        if copy.HasField("workflow_task_started_event_attributes") and number > event.event_id:
            copy.workflow_task_started_event_attributes.scheduled_event_id += shift
        if copy.HasField("workflow_task_completed_event_attributes") and number > event.event_id:
            copy.workflow_task_completed_event_attributes.scheduled_event_id += shift
            copy.workflow_task_completed_event_attributes.started_event_id += shift
        numbered.append(copy)
    replayer = Replayer(workflows=[OrderSettlement], workflow_runner=workflow_runner(), data_converter=DATA_CONVERTER)
    await replayer.replay_workflow(WorkflowHistory(workflow_id, numbered))
