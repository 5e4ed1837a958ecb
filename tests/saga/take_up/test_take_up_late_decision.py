"""The lost workflow may have written PROCEED after reconciliation had read the row."""

from datetime import timedelta

from temporalio.testing import WorkflowEnvironment

from settlement.start import accepted_snapshot
from settlement.states import Decision, State
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.orders import settlement
from tests.support.sagas import settling
from tests.support.scripted import ScriptedExternalSystem


async def test_a_take_up_that_finds_proceed_in_the_ledger_sends_nothing(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    start = settlement(accepted_at=await environment.get_current_time() - timedelta(minutes=5))
    settled = accepted_snapshot(start).model_copy(
        update={"version": 1, "state": State.SETTLED, "decision": Decision.PROCEED, "decided_at": start.accepted_at}
    )
    await ledger.record(start, settled)
    external = ScriptedExternalSystem(adjust=AssertionError("adjusted again"))
    async with settling(environment, ledger, external, start, lost.taken_up(lost.adjusting(start))) as saga:
        await environment.sleep(timedelta(minutes=1))
        snapshot = await saga.reaches(State.ABORTED)
        assert await saga.recorded() == settled
    assert (snapshot.decision, external.cancels) == (Decision.VOID, [])
