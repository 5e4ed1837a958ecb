"""A workflow cancellation does not keep a take-up from compensating."""

import pytest
from temporalio.testing import WorkflowEnvironment

from settlement.snapshot import ActionKind
from settlement.start import SettlementInput
from settlement.states import CancelResult, State
from tests.saga.take_up.conftest import KNOWN, Known, TakeItUp, script
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.sagas import end_of, workers
from tests.support.scripted import REVERSED, Gate
from workflows.start import take_up


@pytest.mark.parametrize("known", [lost.adjusting, lost.cancelling], ids=["adjusting", "cancelling"])
async def test_workflow_cancellation_does_not_interrupt_a_take_up(
    taking_up: TakeItUp, accepted: SettlementInput, known: Known
) -> None:
    gate = Gate(REVERSED)
    async with taking_up(accepted, known(accepted), script(gate)) as saga:
        await saga.handle.cancel()
        await saga.reaches(State.CANCELLING)
        gate.opened.set()
        snapshot = await saga.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)


async def test_workflow_cancellation_of_an_aborted_settlement_is_one_more_round(
    taking_up: TakeItUp, accepted: SettlementInput
) -> None:
    external = script(REVERSED)
    async with taking_up(accepted, lost.aborted(accepted), external) as saga:
        await saga.reaches(State.ABORTED)
        await saga.handle.cancel(reason="maintenance")
        snapshot = await saga.result()
    assert snapshot.state is State.CANCELLED
    assert [act.kind for act in snapshot.actions] == [ActionKind.TAKE_UP, ActionKind.WORKFLOW_CANCELLATION]


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
async def test_workflow_cancellation_before_the_first_task_still_compensates(
    environment: WorkflowEnvironment,
    ledger: FlakyLedger,
    accepted: SettlementInput,
    known: Known,
) -> None:
    """The lost workflow may have sent the adjust, so the new one must not conclude EXPIRED."""
    handle = await take_up(environment.client, accepted, lost.taken_up(known(accepted)))
    await handle.cancel()
    external = script(REVERSED)
    async with workers(environment.client, external, ledger):
        snapshot = await end_of(handle)
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert ActionKind.TAKE_UP in [act.kind for act in snapshot.actions]
