"""Codes that the configuration declares: results, "still in process", and "refused for good"."""

from datetime import timedelta

from temporalio.testing import WorkflowEnvironment

from settlement.calls import Rule, Verdict
from settlement.states import CancelResult, State
from tests.saga.conftest import StartSaga
from tests.saga.test_sparse_band import SLOW, waits_between
from tests.support.orders import QUICK_POLICY, SPARSE_POLICY, settlement
from tests.support.scripted import IN_PROCESS, OWN_REVERSED, REFUSED, REJECTED, REVERSED, Gate, ScriptedExternalSystem
from tests.support.story_acts import ATTEMPTS, FAILED, RETRY, aborted
from workflows.order_settlement import OrderSettlement


async def test_a_declared_result_settles_the_cancel(saga: StartSaga) -> None:
    async with saga(ScriptedExternalSystem(adjust=REJECTED, cancels=[OWN_REVERSED])) as started:
        snapshot = await started.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert snapshot.calls[-1].verdict == OWN_REVERSED


async def test_a_cancel_in_process_is_in_the_audit_and_uses_no_attempt(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    """The bound is 2. The third reply "still in process" uses an attempt."""
    cancels = [IN_PROCESS, FAILED, IN_PROCESS, IN_PROCESS, *[FAILED] * 10]
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=cancels)
    policy = QUICK_POLICY.model_copy(update={"cancel_in_process_max": 2})
    order = settlement(policy=policy, accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        await aborted(environment, started)
        snapshot = await started.snapshot()
    assert [(call.attempt, call.verdict.rule) for call in snapshot.calls[1:]] == [
        (1, Rule.CODE_MEANS_IN_PROCESS),
        (1, Rule.HTTP_STATUS),
        (2, Rule.CODE_MEANS_IN_PROCESS),
        (2, Rule.IN_PROCESS_TOO_LONG),
        (3, Rule.HTTP_STATUS),
    ]
    assert snapshot.reason == "FIRST cancel adjust ran out of attempts"
    assert len(set(external.cancel_numbers)) == 1


async def test_a_cancel_that_is_always_in_process_becomes_aborted(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[IN_PROCESS] * 100)
    order = settlement(policy=SPARSE_POLICY, accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        await aborted(environment, started)
    assert len(external.cancels) == ATTEMPTS + SPARSE_POLICY.cancel_sparse_attempts + 2


async def test_the_waits_while_in_process_grow_like_those_between_attempts(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    verdicts: list[Verdict] = [IN_PROCESS] * 6 + [REVERSED]
    assert await waits_between(saga, environment, SLOW, verdicts) == [100, 200, 400, 800, 1000, 1000]


async def test_the_reason_says_that_the_broker_still_processes_it(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    policy = QUICK_POLICY.model_copy(update={"cancel_initial_interval_s": 600.0, "cancel_max_interval_s": 600.0})
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[IN_PROCESS, REVERSED])
    order = settlement(policy=policy, accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        await environment.sleep(timedelta(minutes=2))
        waiting = await started.snapshot()
        await started.result()
    due_at = waiting.updated_at + timedelta(minutes=10)
    assert waiting.reason.startswith(
        "waiting: FIRST cancel adjust is in process at the broker (reply 1 of 10 that use no attempt); "
        f"first band: attempt 1 of 3 at {due_at:%Y-%m-%d %H:%M:%S} UTC; ABORTED at about "
    )


async def test_a_cancel_refused_for_good_is_aborted_at_once_and_can_be_retried(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[FAILED, REFUSED, FAILED, REVERSED])
    async with saga(external) as started:
        await aborted(environment, started)
        refused = await started.snapshot()
        await started.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        snapshot = await started.result()
    assert refused.reason == "FIRST cancel adjust refused for good by the broker"
    assert [call.verdict for call in refused.calls[1:]] == [FAILED, REFUSED]
    assert snapshot.state is State.CANCELLED
    assert [(call.round, call.attempt) for call in snapshot.calls[1:]] == [(0, 1), (0, 2), (1, 1), (1, 2)]


async def test_a_request_to_stop_does_not_interrupt_a_wait(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    gate = Gate(IN_PROCESS)
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[gate, REVERSED])
    order = settlement(accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        await gate.reached.wait()
        await started.handle.cancel()
        gate.opened.set()
        snapshot = await started.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
