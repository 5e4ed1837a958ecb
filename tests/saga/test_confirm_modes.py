"""When a confirming cancel is sent, and what follows if it contradicts the first result."""

from datetime import timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from settlement.calls import Verdict
from settlement.ids import CancelKind
from settlement.policy import ConfirmMode
from settlement.states import CancelResult, State
from tests.saga.conftest import StartSaga
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.orders import ALWAYS_CONFIRMED, QUICK_POLICY, settlement
from tests.support.sagas import settling
from tests.support.scripted import (
    NEVER_RECEIVED,
    NOT_APPLIED,
    REJECTED,
    REVERSED,
    UNKNOWN,
    ScriptedExternalSystem,
)
from tests.support.story_acts import RESOLVE, RETRY, aborted
from workflows.order_settlement import OrderSettlement

ALL_MODES = [
    (ConfirmMode.AFTER_NOT_FOUND, UNKNOWN, NEVER_RECEIVED, 2),
    (ConfirmMode.AFTER_NOT_FOUND, UNKNOWN, REVERSED, 1),
    (ConfirmMode.AFTER_NOT_FOUND, REJECTED, NOT_APPLIED, 1),
    (ConfirmMode.ALWAYS, UNKNOWN, NOT_APPLIED, 2),
    (ConfirmMode.ALWAYS, UNKNOWN, REVERSED, 2),
    (ConfirmMode.ALWAYS, REJECTED, NOT_APPLIED, 2),
    (ConfirmMode.NEVER, UNKNOWN, NEVER_RECEIVED, 1),
    (ConfirmMode.NEVER, UNKNOWN, REVERSED, 1),
]


@pytest.mark.parametrize("case", ALL_MODES)
async def test_each_mode_confirms_the_results_that_it_names(
    saga: StartSaga, environment: WorkflowEnvironment, case: tuple[ConfirmMode, Verdict, Verdict, int]
) -> None:
    mode, adjust, result, cancels = case
    policy = QUICK_POLICY.model_copy(update={"confirm": mode})
    external = ScriptedExternalSystem(adjust=adjust, cancels=[result] * cancels)
    order = settlement(policy=policy, accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        snapshot = await started.result()
    assert snapshot.state is State.CANCELLED
    assert [call.kind for call in snapshot.calls[1:]] == list(CancelKind)[:cancels]


@pytest.mark.parametrize("first", [NOT_APPLIED, NEVER_RECEIVED])
async def test_a_reversal_found_after_a_rejection_is_believed(
    saga: StartSaga, environment: WorkflowEnvironment, first: Verdict
) -> None:
    """The rejection was false: the adjust had been applied, and is given back now."""
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[first, REVERSED])
    order = settlement(policy=ALWAYS_CONFIRMED, accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        snapshot = await started.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)


@pytest.mark.parametrize("second", [NOT_APPLIED, NEVER_RECEIVED])
async def test_a_contradiction_is_aborted_and_an_operator_decides(
    saga: StartSaga, environment: WorkflowEnvironment, second: Verdict
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED, second, second, REVERSED])
    order = settlement(policy=ALWAYS_CONFIRMED, accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        await aborted(environment, started)
        contradiction = await started.snapshot()
        for _ in range(2):
            await started.reaches(State.ABORTED)
            await started.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        snapshot = await started.result()
    assert contradiction.reason.startswith("the cancels contradict each other: first REVERSED, then N")
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert [(call.kind, call.round) for call in snapshot.calls[1:]] == [
        (CancelKind.FIRST, 0),
        *((CancelKind.CONFIRMING, round_) for round_ in range(3)),
    ]
    assert len(set(external.cancel_numbers[1:])) == 1


async def test_a_contradiction_can_be_resolved_after_its_workflow_was_lost(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    ago = await environment.get_current_time() - timedelta(minutes=5)
    start = settlement(policy=ALWAYS_CONFIRMED, accepted_at=ago)
    before = lost.quarantined(start)
    first, confirming = (
        lost.cancel(start, CancelKind.FIRST, REVERSED, CancelResult.REVERSED),
        lost.cancel(start, CancelKind.CONFIRMING, NOT_APPLIED, CancelResult.NOT_APPLIED),
    )
    known = lost.aborted_confirming(start).model_copy(update={"calls": (before.calls[0], first, confirming)})
    await ledger.record(start, known)
    external = ScriptedExternalSystem(adjust=AssertionError("adjusted again"))
    async with settling(environment, ledger, external, start, lost.taken_up(known)) as started:
        await started.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        snapshot = await started.result()
    assert (snapshot.state, external.cancels) == (State.RESOLVED, [])
