"""What people do to settlements in the stories and in other tests of the saga: retry, resolve, approve, stop."""

from collections.abc import Awaitable, Callable

from temporalio.testing import WorkflowEnvironment

from settlement.calls import Rule, Verdict
from settlement.ids import (
    APPROVE_UPDATE,
    PROPOSE_UPDATE,
    RESOLVE_UPDATE,
    RETRY_UPDATE,
    WITHDRAW_UPDATE,
    CancelKind,
)
from settlement.operator_rules import ResolveReason, RetryReason
from settlement.snapshot import OperatorRequest
from settlement.states import Outcome, State
from tests.support.orders import QUICK_POLICY
from tests.support.polling import until
from tests.support.sagas import Saga
from tests.support.scripted import Gate
from workflows.order_settlement import OrderSettlement

FAILED = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.HTTP_STATUS, http_status=500)
ATTEMPTS = QUICK_POLICY.cancel_max_attempts
LONGER_THAN_A_ROUND_S = 120
RETRY = OperatorRequest(operator="night-shift", reason_code=RetryReason.BROKER_RECOVERED, note="broker is back")
RESOLVE = OperatorRequest(
    operator="night-shift", reason_code=ResolveReason.REVERSED_BY_BROKER, note="by hand", broker_reference="ticket 17"
)

APPROVAL = OperatorRequest(operator="day-shift", note="compared with the statement", proposal_no=0)

Act = Callable[[WorkflowEnvironment, Saga], Awaitable[object]]


async def aborted(environment: WorkflowEnvironment, saga: Saga) -> None:
    """Let a whole round of failing cancels pass."""
    await environment.sleep(LONGER_THAN_A_ROUND_S)
    await saga.reaches(State.ABORTED)


async def decided(_: WorkflowEnvironment, saga: Saga) -> None:
    await saga.handle.execute_update(OrderSettlement.decision, id="decision")


async def retried(environment: WorkflowEnvironment, saga: Saga) -> None:
    await aborted(environment, saga)
    await saga.act(RETRY_UPDATE, RETRY)


async def resolved(environment: WorkflowEnvironment, saga: Saga) -> None:
    await aborted(environment, saga)
    await saga.act(RESOLVE_UPDATE, RESOLVE)


async def resolved_unverified(environment: WorkflowEnvironment, saga: Saga) -> None:
    await aborted(environment, saga)
    await saga.handle.execute_update(OrderSettlement.resolve, RESOLVE)


async def resolved_by_two(environment: WorkflowEnvironment, saga: Saga) -> None:
    """Propose, replace and withdraw; then propose, and approve as another client."""
    await aborted(environment, saga)
    await saga.act(PROPOSE_UPDATE, RESOLVE)
    await saga.act(PROPOSE_UPDATE, RESOLVE.model_copy(update={"note": "as the statement says"}))
    await saga.act(WITHDRAW_UPDATE, APPROVAL.model_copy(update={"proposal_no": 1}))
    await saga.act(PROPOSE_UPDATE, RESOLVE)
    await saga.act(APPROVE_UPDATE, APPROVAL.model_copy(update={"proposal_no": 3}))


async def proposed_then_retried(environment: WorkflowEnvironment, saga: Saga) -> None:
    await aborted(environment, saga)
    await saga.act(PROPOSE_UPDATE, RESOLVE)
    await saga.act(RETRY_UPDATE, RETRY)


async def approved(_: WorkflowEnvironment, saga: Saga) -> None:
    await saga.act(APPROVE_UPDATE, APPROVAL)


async def retried_when_taken_up(_: WorkflowEnvironment, saga: Saga) -> None:
    await saga.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)


async def retried_twice(environment: WorkflowEnvironment, saga: Saga) -> None:
    await saga.reaches(State.ABORTED)
    await saga.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
    await retried(environment, saga)


async def resolved_when_taken_up(_: WorkflowEnvironment, saga: Saga) -> None:
    await saga.handle.execute_update(OrderSettlement.resolve, RESOLVE)


async def stopped_when_aborted(environment: WorkflowEnvironment, saga: Saga) -> None:
    await aborted(environment, saga)
    await saga.handle.cancel(reason="maintenance")


async def stopped_in_quarantine(_: WorkflowEnvironment, saga: Saga) -> None:
    async def begun() -> bool:
        return len((await saga.snapshot()).cancel_intents) == len(CancelKind)

    await until(begun, what="the quarantine")
    await saga.handle.cancel()
    await saga.snapshot()


def stopped_during(gate: Gate) -> Act:
    async def act(_: WorkflowEnvironment, saga: Saga) -> None:
        await gate.reached.wait()
        await saga.handle.cancel()
        await saga.snapshot()
        gate.opened.set()

    return act
