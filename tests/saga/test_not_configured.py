"""While its external system is not configured, an adjust is not sent, and a cancel waits without using up attempts."""

from datetime import timedelta

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner

from settlement.calls import Rule, Verdict
from settlement.limits import SYSTEM_WAIT_MAX_S
from settlement.snapshot import Snapshot
from settlement.states import CancelResult, Decision, Outcome, State
from tests.saga.conftest import StartSaga
from tests.support.ledgers import FlakyLedger
from tests.support.limits import timers_in
from tests.support.orders import settlement
from tests.support.polling import until
from tests.support.sagas import settling, workers
from tests.support.scripted import NOT_CONFIGURED, REJECTED, REVERSED, ScriptedExternalSystem
from tests.support.story_acts import ATTEMPTS, FAILED, aborted
from workflows import cancel_rounds
from workflows.start import start_workflow


async def test_an_adjust_without_its_system_is_not_sent_and_the_order_expires(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    external = ScriptedExternalSystem(adjust=AssertionError("sent"))
    external.is_configured = False
    start = settlement(accepted_at=await environment.get_current_time(), system="gone")
    async with settling(environment, ledger, external, start) as started:
        snapshot = await started.result()
    assert (snapshot.state, snapshot.decision) == (State.EXPIRED, Decision.VOID)
    (call,) = snapshot.calls
    assert (call.verdict.outcome, call.verdict.rule) == (Outcome.NOT_SENT, Rule.NOT_CONFIGURED)
    assert call.verdict.detail == "no external system gone is configured"
    assert external.adjusts == []


async def test_a_cancel_waits_for_its_system_and_continues_with_the_attempts_that_are_left(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(
        adjust=REJECTED, cancels=[FAILED, NOT_CONFIGURED, NOT_CONFIGURED, FAILED, NOT_CONFIGURED, REVERSED]
    )
    async with saga(external) as started:
        snapshot = await started.result()
        waits_s = timers_in(await started.handle.fetch_history())
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert [call.verdict for call in snapshot.calls] == [REJECTED, FAILED, FAILED, REVERSED]
    assert [(call.attempt, call.round) for call in snapshot.calls[1:]] == [(1, 0), (2, 0), (3, 0)]
    assert all(longest_s / 2 <= wait_s <= longest_s for wait_s, longest_s in zip(waits_s, (5, 10, 20), strict=True))


async def test_after_a_wait_the_attempts_of_the_round_are_still_limited(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[FAILED, NOT_CONFIGURED, *[FAILED] * (ATTEMPTS - 1)])
    async with saga(external) as started:
        await aborted(environment, started)
        snapshot = await started.snapshot()
    assert [call.attempt for call in snapshot.calls[1:]] == list(range(1, ATTEMPTS + 1))


async def test_what_the_cancel_waits_for_is_the_reason_of_the_settlement(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    async def remove_then_reject() -> Verdict:
        external.is_configured = False
        return REJECTED

    external = ScriptedExternalSystem(adjust=remove_then_reject, cancels=[REVERSED])
    start = settlement(accepted_at=await environment.get_current_time(), system="alpha")
    async with settling(environment, ledger, external, start) as started:
        await environment.sleep(timedelta(seconds=10 * SYSTEM_WAIT_MAX_S))
        waiting = await started.snapshot()
        assert waiting.state is State.CANCELLING
        assert waiting.reason == "waiting: external system alpha is not configured, or a secret of it is missing"
        assert external.cancels == []
        external.is_configured = True
        snapshot = await started.result()
    assert snapshot.cancel_result is CancelResult.REVERSED
    assert len(snapshot.calls) == 2


async def test_a_long_wait_continues_as_new_and_counts_the_attempts_that_were_made(
    environment: WorkflowEnvironment, ledger: FlakyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This server answers no query of a workflow that has continued as new, so the ledger is read."""
    monkeypatch.setattr(cancel_rounds, "history_is_long", lambda: True)
    external = ScriptedExternalSystem(
        adjust=REJECTED, cancels=[FAILED, NOT_CONFIGURED, FAILED, NOT_CONFIGURED, *[FAILED] * (ATTEMPTS - 2)]
    )
    start = settlement(accepted_at=await environment.get_current_time())
    async with workers(environment.client, external, ledger, runner=UnsandboxedWorkflowRunner()):
        first = await start_workflow(environment.client, start)

        async def is_aborted() -> Snapshot | None:
            found = await ledger.find(start.settlement_id)
            return found.snapshot if found and found.snapshot.state is State.ABORTED else None

        snapshot = await until(is_aborted, what="ABORTED in the ledger")
        last = await environment.client.get_workflow_handle(first.id).describe()
    assert last.run_id != first.first_execution_run_id
    assert [call.attempt for call in snapshot.calls[1:]] == list(range(1, ATTEMPTS + 1))
