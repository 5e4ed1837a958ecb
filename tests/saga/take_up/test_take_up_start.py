"""When a take-up starts a new workflow: never beside a running one, and never after a completed one."""

import pytest
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.testing import WorkflowEnvironment

from settlement.states import State
from tests.saga.conftest import StartSaga
from tests.support import lost
from tests.support.scripted import APPLIED, REVERSED, UNKNOWN, Gate, ScriptedExternalSystem
from workflows.start import start_workflow, take_up


async def test_a_running_workflow_is_joined(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    gate = Gate(APPLIED)
    external = ScriptedExternalSystem(adjust=gate)
    async with saga(external) as started:
        await gate.reached.wait()
        await take_up(environment.client, started.settlement, lost.taken_up(lost.adjusting(started.settlement)))
        gate.opened.set()
        snapshot = await started.result()
    assert (snapshot.state, snapshot.actions) == (State.SETTLED, ())


async def test_no_workflow_follows_one_that_completed(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    async with saga(ScriptedExternalSystem(adjust=APPLIED)) as started:
        await started.result()
        with pytest.raises(WorkflowAlreadyStartedError):
            await take_up(environment.client, started.settlement, lost.taken_up(lost.adjusting(started.settlement)))


async def test_only_reconciliation_follows_a_workflow_that_was_ended_from_outside(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    """The lost one may have a decision that the ledger lacks, and a repeated POST does not query it."""
    async with saga(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[Gate(REVERSED)])) as started:
        await started.handle.terminate()
    known = lost.taken_up(lost.adjusting(started.settlement))
    with pytest.raises(WorkflowAlreadyStartedError):
        await start_workflow(environment.client, started.settlement, known)
    handle = await take_up(environment.client, started.settlement, known)
    await handle.terminate()
