"""Workflow cancellation never interrupts a compensation: it voids an undecided order, or retries an ABORTED one."""

import pytest
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from settlement.calls import Verdict
from settlement.snapshot import ActionKind
from settlement.states import CancelResult, Decision, State
from tests.saga.conftest import StartSaga
from tests.support.ledgers import FlakyLedger
from tests.support.orders import settlement
from tests.support.polling import until
from tests.support.sagas import Saga, end_of, workers
from tests.support.scripted import (
    APPLIED,
    NEVER_RECEIVED,
    NOT_APPLIED,
    NOT_SENT,
    REJECTED,
    REVERSED,
    UNKNOWN,
    Gate,
    ScriptedExternalSystem,
)
from tests.support.story_acts import ATTEMPTS, FAILED, aborted
from workflows.order_settlement import OrderSettlement
from workflows.start import start_workflow


async def cancel_twice(saga: Saga) -> None:
    """Cancel the workflow twice. The server may reject the second request; it must have no effect."""
    await saga.handle.cancel()
    await saga.snapshot()
    try:
        await saga.handle.cancel()
    except RPCError:
        return
    await saga.snapshot()


async def test_before_the_first_task_nothing_is_sent(environment: WorkflowEnvironment, ledger: FlakyLedger) -> None:
    external = ScriptedExternalSystem(adjust=APPLIED)
    start = settlement(accepted_at=await environment.get_current_time())
    handle = await start_workflow(environment.client, start)
    await handle.cancel()
    async with workers(environment.client, external, ledger):
        snapshot = await end_of(handle)
    assert (snapshot.state, snapshot.decision) == (State.EXPIRED, Decision.VOID)
    assert external.adjusts == []


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (APPLIED, State.CANCELLED),
        (REJECTED, State.CANCELLED),
        (UNKNOWN, State.CANCELLED),
        (NOT_SENT, State.EXPIRED),
    ],
)
async def test_during_the_adjust_the_call_completes_and_a_success_is_cancelled(
    saga: StartSaga, answer: Verdict, end: State
) -> None:
    gate = Gate(answer)
    external = ScriptedExternalSystem(adjust=gate, cancels=[REVERSED])
    async with saga(external) as started:
        await gate.reached.wait()
        await cancel_twice(started)
        assert external.cancels == []
        gate.opened.set()
        snapshot = await started.result()
    assert (snapshot.state, snapshot.decision) == (end, Decision.VOID)
    assert [act.kind for act in snapshot.actions] == [ActionKind.WORKFLOW_CANCELLATION]
    assert snapshot.calls[0].verdict == answer


async def test_an_applied_adjust_whose_cancel_denies_it_is_confirmed(saga: StartSaga) -> None:
    gate = Gate(APPLIED)
    external = ScriptedExternalSystem(adjust=gate, cancels=[NEVER_RECEIVED, REVERSED])
    async with saga(external) as started:
        await gate.reached.wait()
        await started.handle.cancel()
        await started.snapshot()
        gate.opened.set()
        snapshot = await started.result()
    assert snapshot.cancel_result is CancelResult.REVERSED


async def test_a_cancel_in_progress_continues(saga: StartSaga) -> None:
    gate = Gate(REVERSED)
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[gate])
    async with saga(external) as started:
        await gate.reached.wait()
        await cancel_twice(started)
        gate.opened.set()
        snapshot = await started.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)


async def test_between_two_attempts_the_next_one_is_sent(saga: StartSaga) -> None:
    gate = Gate(FAILED)
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[gate, REVERSED])
    async with saga(external) as started:
        await gate.reached.wait()
        gate.opened.set()

        async def failed_once() -> bool:
            pending = (await started.handle.describe()).raw_description.pending_activities
            return any(each.attempt == 2 for each in pending)

        await until(failed_once)
        await cancel_twice(started)
        snapshot = await started.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)


async def test_during_the_quarantine_the_confirming_cancel_is_still_sent(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[NOT_APPLIED, REVERSED])
    async with saga(external) as started:

        async def in_quarantine() -> bool:
            return len((await started.snapshot()).calls) == 2

        await until(in_quarantine)
        await cancel_twice(started)
        snapshot = await started.result()
    assert len(external.cancels) == 2
    assert snapshot.cancel_result is CancelResult.REVERSED


async def test_when_aborted_it_starts_one_more_round(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED] * ATTEMPTS + [REVERSED])
    async with saga(external) as started:
        await aborted(environment, started)
        await started.handle.cancel(reason="maintenance")
        snapshot = await started.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert len(set(external.cancel_numbers)) == 1
    assert [(act.kind, act.note) for act in snapshot.actions] == [(ActionKind.WORKFLOW_CANCELLATION, "maintenance")]


async def test_after_proceed_it_changes_nothing(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with saga(external) as started:
        started.ledger.down = True
        await started.handle.execute_update(OrderSettlement.decision)
        await cancel_twice(started)
        started.ledger.down = False
        snapshot = await started.result()
    assert (snapshot.state, snapshot.decision) == (State.SETTLED, Decision.PROCEED)
    assert external.cancels == []
