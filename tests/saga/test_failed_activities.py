"""After an activity fails, by an exception in our own code or by hand, the saga continues and the audit is complete."""

import asyncio

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.workflowservice.v1 import RespondActivityTaskFailedByIdRequest
from temporalio.testing import WorkflowEnvironment

from settlement.calls import Rule
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import CancelResult, State
from tests.saga.conftest import StartSaga
from tests.support.ledgers import FlakyLedger
from tests.support.polling import until
from tests.support.scripted import APPLIED, REVERSED, UNKNOWN, ScriptedExternalSystem


async def test_a_cancel_that_raises_counts_as_an_attempt_in_the_audit(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[RuntimeError("a bug"), REVERSED])
    async with saga(external) as started:
        snapshot = await started.result()
    assert [call.verdict.rule for call in snapshot.calls[1:]] == [Rule.WORKER_LOST, Rule.CODE_SUCCESS]
    assert snapshot.cancel_result is CancelResult.REVERSED


async def test_a_lost_adjust_has_the_time_at_which_it_was_scheduled(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=RuntimeError("gone"), cancels=[REVERSED])
    async with saga(external) as started:
        snapshot = await started.result()
        events = (await started.handle.fetch_history()).events
    scheduled = next(event for event in events if event.HasField("activity_task_scheduled_event_attributes"))
    failed = next(event for event in events if event.HasField("activity_task_failed_event_attributes"))
    sent_ns = round(snapshot.calls[0].sent_at.timestamp() * 1e9)
    assert sent_ns <= scheduled.event_time.ToNanoseconds() < failed.event_time.ToNanoseconds()


async def test_a_ledger_write_ended_by_hand_is_started_again(
    saga: StartSaga, environment: WorkflowEnvironment, ledger: FlakyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the ledger would never get the settlement, and its workflow would never close."""
    held = asyncio.Event()
    record = ledger.record

    async def slow(start: SettlementInput, snapshot: Snapshot) -> bool:
        await held.wait()
        return await record(start, snapshot)

    monkeypatch.setattr(ledger, "record", slow)
    async with saga(ScriptedExternalSystem(adjust=APPLIED)) as started:

        async def writing() -> str | None:
            pending = (await started.handle.describe()).raw_description.pending_activities
            begun = [each for each in pending if each.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED]
            return {each.activity_type.name: each.activity_id for each in begun}.get("record_settlement")

        first = await until(writing)
        await environment.client.workflow_service.respond_activity_task_failed_by_id(
            RespondActivityTaskFailedByIdRequest(
                namespace="default",
                workflow_id=started.handle.id,
                activity_id=first,
                failure=Failure(message="by hand", application_failure_info=ApplicationFailureInfo(non_retryable=True)),
            )
        )

        async def another() -> bool:
            return await writing() not in {None, first}

        await until(another)
        held.set()
        assert (await started.result()).state is State.SETTLED
