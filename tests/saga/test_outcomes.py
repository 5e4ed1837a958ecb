"""Every outcome of the adjust, with every reply to the cancel, leads to its state."""

from typing import get_args

import pytest
from temporalio.testing import WorkflowEnvironment

from contract.operations import CancelOperation
from settlement.calls import Rule, Verdict
from settlement.ids import CancelKind, cancel_unique_no
from settlement.policy import ConfirmMode
from settlement.states import CancelResult, Decision, Outcome, State
from tests.saga.conftest import StartSaga
from tests.support.orders import QUICK_POLICY, settlement
from tests.support.scripted import (
    APPLIED,
    NEVER_RECEIVED,
    NOT_APPLIED,
    NOT_SENT,
    REJECTED,
    REVERSED,
    UNKNOWN,
    ScriptedExternalSystem,
)

CANCEL_RESULTS = [
    (REVERSED, CancelResult.REVERSED),
    (NOT_APPLIED, CancelResult.NOT_APPLIED),
    (NEVER_RECEIVED, CancelResult.NEVER_RECEIVED),
]


async def test_applied_settles_with_one_call(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with saga(external) as started:
        snapshot = await started.result()
    assert (snapshot.state, snapshot.decision) == (State.SETTLED, Decision.PROCEED)
    assert external.adjusts == [started.settlement.adjust]
    assert external.cancels == []
    assert [call.verdict for call in snapshot.calls] == [APPLIED]


@pytest.mark.parametrize(("answer", "result"), CANCEL_RESULTS)
async def test_a_rejected_adjust_is_cancelled_once(saga: StartSaga, answer: Verdict, result: CancelResult) -> None:
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[answer])
    async with saga(external) as started:
        snapshot = await started.result()
    assert (snapshot.state, snapshot.decision, snapshot.cancel_result) == (State.CANCELLED, Decision.VOID, result)
    assert external.cancel_numbers == [cancel_unique_no(started.settlement.adjust.requestUniqueNo, CancelKind.FIRST)]


@pytest.mark.parametrize("first", [NOT_APPLIED, NEVER_RECEIVED])
@pytest.mark.parametrize(("second", "result"), CANCEL_RESULTS)
async def test_after_an_unknown_adjust_a_result_that_is_not_final_is_confirmed_with_its_own_number(
    saga: StartSaga, first: Verdict, second: Verdict, result: CancelResult
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[first, second])
    async with saga(external) as started:
        snapshot = await started.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, result)
    number = started.settlement.adjust.requestUniqueNo
    assert external.cancel_numbers == [cancel_unique_no(number, kind) for kind in CancelKind]
    assert [call.kind for call in snapshot.calls] == [None, CancelKind.FIRST, CancelKind.CONFIRMING]


async def test_a_reversed_unknown_adjust_needs_no_confirming_cancel(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED])
    async with saga(external) as started:
        snapshot = await started.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert len(external.cancels) == 1


async def test_the_policy_never_disables_the_confirming_cancel(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    policy = QUICK_POLICY.model_copy(update={"confirm": ConfirmMode.NEVER})
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[NEVER_RECEIVED])
    accepted_at = await environment.get_current_time()
    async with saga(external, settlement(policy=policy, accepted_at=accepted_at)) as started:
        snapshot = await started.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.NEVER_RECEIVED)


async def test_a_quarantine_of_three_days_is_a_durable_timer(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    three_days_s = 3 * 24 * 3600
    policy = QUICK_POLICY.model_copy(update={"confirm_after_s": three_days_s})
    accepted_at = await environment.get_current_time()
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[NEVER_RECEIVED, REVERSED])
    async with saga(external, settlement(policy=policy, accepted_at=accepted_at)) as started:
        snapshot = await started.result()
    assert (snapshot.updated_at - accepted_at).total_seconds() >= three_days_s
    assert snapshot.cancel_result is CancelResult.REVERSED


async def test_an_unsent_adjust_expires_without_a_cancel(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=NOT_SENT)
    async with saga(external) as started:
        snapshot = await started.result()
    assert (snapshot.state, snapshot.decision) == (State.EXPIRED, Decision.VOID)
    assert external.cancels == []


async def test_an_adjust_of_a_lost_worker_is_unknown_and_cancelled(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=RuntimeError("gone"), cancels=[REVERSED])
    async with saga(external) as started:
        snapshot = await started.result()
    assert snapshot.state is State.CANCELLED
    assert len(external.adjusts) == 1
    assert snapshot.calls[0].verdict.outcome is Outcome.UNKNOWN
    assert snapshot.calls[0].verdict.rule is Rule.WORKER_LOST


@pytest.mark.parametrize("operation", get_args(CancelOperation))
async def test_every_call_carries_the_settlements_trace_and_company(
    saga: StartSaga, operation: CancelOperation
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[NOT_APPLIED, NOT_APPLIED], cancel_operation=operation)
    async with saga(external) as started:
        snapshot = await started.result()
    assert {(each.trace, each.company_id) for each in external.headers} == {("trace-7", 7)}
    assert {call.operation for call in snapshot.calls[1:]} == {operation}
