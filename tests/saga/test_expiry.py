"""An order that is too old is never sent."""

from datetime import timedelta

from temporalio.testing import WorkflowEnvironment

from settlement.states import Decision, State
from tests.saga.conftest import StartSaga
from tests.support.ledgers import FlakyLedger
from tests.support.orders import QUICK_POLICY, settlement
from tests.support.polling import until
from tests.support.sagas import end_of, workers
from tests.support.scripted import APPLIED, ScriptedExternalSystem
from workflows.start import start_workflow

EXPIRY = timedelta(seconds=QUICK_POLICY.expire_after_s)


async def test_an_order_accepted_too_long_ago_expires_unsent(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    accepted_at = await environment.get_current_time() - EXPIRY
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with saga(external, settlement(accepted_at=accepted_at)) as started:
        snapshot = await started.result()
    assert (snapshot.state, snapshot.decision) == (State.EXPIRED, Decision.VOID)
    assert (external.adjusts, snapshot.calls) == ([], ())


async def test_an_order_that_waited_too_long_for_a_worker_expires_unsent(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """A caller's clock that runs ahead must not extend the expiry: the server's clock counts too."""
    external = ScriptedExternalSystem(adjust=APPLIED)
    short = QUICK_POLICY.model_copy(update={"expire_after_s": 0.2})
    started_at = await environment.get_current_time()
    start = settlement(policy=short, accepted_at=started_at + timedelta(days=1))
    handle = await start_workflow(environment.client, start)

    async def old_enough() -> bool:
        return await environment.get_current_time() - started_at > timedelta(seconds=0.3)

    await until(old_enough)
    async with workers(environment.client, external, ledger):
        snapshot = await end_of(handle)
    assert (snapshot.state, external.adjusts) == (State.EXPIRED, [])


async def test_an_order_just_young_enough_is_sent(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    accepted_at = await environment.get_current_time() - EXPIRY + timedelta(seconds=30)
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with saga(external, settlement(accepted_at=accepted_at)) as started:
        assert (await started.result()).state is State.SETTLED
