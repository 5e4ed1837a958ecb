"""An operator's Update in the first workflow task of a continued run takes effect before the run does anything."""

from collections.abc import Callable

import pytest
from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.testing import WorkflowEnvironment

from settlement.ids import APPROVE_UPDATE, RESOLVE_UPDATE, RETRY_UPDATE, workflow_id
from settlement.snapshot import OperatorRequest, Snapshot
from settlement.start import SettlementInput, SettlementStart
from settlement.states import State
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.orders import settlement
from tests.support.sagas import SIGNER, workers
from tests.support.scripted import REVERSED, ScriptedExternalSystem
from tests.support.story_acts import APPROVAL, RESOLVE, RETRY
from workflows.order_settlement import OrderSettlement
from workflows.runtime import SETTLEMENT_TASK_QUEUE

Known = Callable[[SettlementInput], Snapshot]


@pytest.mark.parametrize(
    ("known", "update", "request_", "state", "cancels"),
    [
        pytest.param(lost.aborted, RESOLVE_UPDATE, RESOLVE, State.RESOLVED, 0, id="resolve"),
        pytest.param(lost.aborted_confirming, RESOLVE_UPDATE, RESOLVE, State.RESOLVED, 0, id="resolve-confirming"),
        pytest.param(lost.proposed, APPROVE_UPDATE, APPROVAL, State.RESOLVED, 0, id="approve"),
        pytest.param(lost.aborted, RETRY_UPDATE, RETRY, State.CANCELLED, 1, id="retry"),
    ],
)
async def test_an_update_in_the_first_task_of_a_continued_run(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    environment: WorkflowEnvironment,
    ledger: FlakyLedger,
    known: Known,
    update: str,
    request_: OperatorRequest,
    state: State,
    cancels: int,
) -> None:
    """Temporal delivers it there if the earlier run continued as new before it. After a resolution, nothing is sent."""
    accepted = settlement(accepted_at=await environment.get_current_time())
    if known is lost.proposed:
        accepted = accepted.model_copy(update={"four_eyes_above": "0.01"})
    before = known(accepted)
    await ledger.record(accepted, before)
    external = ScriptedExternalSystem(adjust=AssertionError("adjusted again"), cancels=[REVERSED])
    continued = WithStartWorkflowOperation(
        OrderSettlement.run,
        SettlementStart(**dict(accepted), carried=lost.carried(before)),
        id=workflow_id(accepted.settlement_id),
        task_queue=SETTLEMENT_TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
    )
    signed = SIGNER.sign(workflow_id(accepted.settlement_id), update, before.action_count, request_)
    async with workers(environment.client, external, ledger):
        await environment.client.execute_update_with_start_workflow(update, signed, start_workflow_operation=continued)
        ended = await (await continued.workflow_handle()).result()
    assert (ended, len(external.cancels)) == (state, cancels)
