"""A compensation that uses up its attempts is ABORTED, keeps its whole audit, and continues as an operator decides."""

import re

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from settlement.calls import Rule, Verdict
from settlement.ids import CancelKind, cancel_unique_no
from settlement.operator_rules import PLACEHOLDERS, RetryReason
from settlement.reply_record import ReplyRecord
from settlement.snapshot import ActionKind, OperatorRequest
from settlement.states import CancelResult, Decision, Outcome, State
from tests.saga.conftest import StartSaga
from tests.support.scripted import NEVER_RECEIVED, REJECTED, REVERSED, UNKNOWN, Gate, ScriptedExternalSystem
from tests.support.story_acts import ATTEMPTS, FAILED, LONGER_THAN_A_ROUND_S, RESOLVE, RETRY, aborted
from workflows.order_settlement import OrderSettlement

UNVERIFIED = f"temporal-ui, unverified (says {RETRY.operator})"
WRONG_CODE = Verdict(outcome=Outcome.REJECTED, rule=Rule.CODE_FAILURE, http_status=200, reply=ReplyRecord(code="E9"))


async def test_a_failing_cancel_is_sent_exactly_the_configured_number_of_times_with_one_number(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED, WRONG_CODE, FAILED])
    async with saga(external) as started:
        await aborted(environment, started)
        await environment.sleep(LONGER_THAN_A_ROUND_S)
        snapshot = await started.snapshot()
    number = cancel_unique_no(started.settlement.adjust.requestUniqueNo, CancelKind.FIRST)
    assert external.cancel_numbers == [number] * ATTEMPTS
    assert [call.attempt for call in snapshot.calls[1:]] == [1, 2, 3]
    assert [call.verdict for call in snapshot.calls[1:]] == [FAILED, WRONG_CODE, FAILED]
    assert len({body.model_dump_json() for body in external.cancels}) == 1
    assert (snapshot.state, snapshot.decision, snapshot.cancel_result) == (State.ABORTED, Decision.VOID, None)
    assert await started.recorded() == snapshot


async def test_failed_attempts_stay_in_the_audit_of_a_successful_compensation(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[FAILED, FAILED, REVERSED])
    async with saga(external) as started:
        snapshot = await started.result()
    assert [call.verdict for call in snapshot.calls] == [REJECTED, FAILED, FAILED, REVERSED]
    assert snapshot.cancel_result is CancelResult.REVERSED


async def test_an_operators_retry_repeats_the_number_in_a_new_round(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED] * ATTEMPTS + [FAILED, REVERSED])
    async with saga(external) as started:
        await aborted(environment, started)
        retried = await started.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        snapshot = await started.result()
    assert retried.state is State.CANCELLING
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert len(set(external.cancel_numbers)) == 1
    assert len({body.model_dump_json() for body in external.cancels}) == 1
    assert [(call.round, call.attempt) for call in snapshot.calls[1:]] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)]
    assert [(act.kind, act.operator, act.reason_code, act.note) for act in snapshot.actions] == [
        (ActionKind.RETRY_CANCEL_ADJUST, UNVERIFIED, RETRY.reason_code, RETRY.note)
    ]


PASTED = OperatorRequest(operator="<your name>", reason_code=RetryReason.BROKER_RECOVERED, note="<why>")


@pytest.mark.parametrize(
    ("update", "given", "missing"),
    [
        ("retry_cancel_adjust", [], ["operator", "reasonCode", "note"]),
        ("retry_cancel_adjust", [OperatorRequest(operator="night-shift")], ["reasonCode", "note"]),
        ("retry_cancel_adjust", [PASTED], ["operator", "note"]),
        ("resolve", [], ["operator", "reasonCode", "note", "brokerReference"]),
        ("resolve", [RETRY], ["brokerReference"]),
    ],
    ids=str,
)
async def test_an_action_from_the_ui_with_placeholders_is_rejected_and_names_the_missing_fields(
    saga: StartSaga, environment: WorkflowEnvironment, update: str, given: list[object], missing: list[str]
) -> None:
    """An audit without operator and reason would be useless."""
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED] * ATTEMPTS + [REVERSED])
    async with saga(external) as started:
        await aborted(environment, started)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await started.handle.execute_update(update, args=given)
        snapshot = await started.snapshot()
        await started.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        await started.result()
    said = str(refused.value.cause)
    assert (snapshot.state, snapshot.actions) == (State.ABORTED, ())
    assert [name for name in PLACEHOLDERS if f"{name} is missing: fill in {PLACEHOLDERS[name]}" in said] == missing
    assert "\n" not in said


async def test_a_retry_of_an_aborted_confirming_cancel_repeats_the_confirming_number(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[NEVER_RECEIVED, *[FAILED] * ATTEMPTS, REVERSED])
    async with saga(external) as started:
        await aborted(environment, started)
        await started.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        snapshot = await started.result()
    number = started.settlement.adjust.requestUniqueNo
    first, confirming = (cancel_unique_no(number, kind) for kind in CancelKind)
    assert external.cancel_numbers == [first, *[confirming] * (ATTEMPTS + 1)]
    assert snapshot.cancel_result is CancelResult.REVERSED


async def test_a_second_abort_waits_for_the_operator_again(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED] * (2 * ATTEMPTS) + [REVERSED])
    async with saga(external) as started:
        await aborted(environment, started)
        await started.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        await aborted(environment, started)
        await started.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        snapshot = await started.result()
    assert snapshot.calls[-1].round == 2
    assert len(snapshot.actions) == 2


async def test_resolve_closes_the_settlement_and_sends_nothing(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED] * ATTEMPTS)
    async with saga(external) as started:
        await aborted(environment, started)
        await started.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        snapshot = await started.result()
    assert (snapshot.state, snapshot.decision) == (State.RESOLVED, Decision.VOID)
    assert [(act.kind, act.reason_code, act.note, act.broker_reference) for act in snapshot.actions] == [
        (ActionKind.RESOLVE, RESOLVE.reason_code, RESOLVE.note, RESOLVE.broker_reference)
    ]
    assert len(external.cancels) == ATTEMPTS


@pytest.mark.parametrize("update", ["retry_cancel_adjust", "resolve"])
async def test_operator_actions_are_rejected_in_any_other_state(saga: StartSaga, update: str) -> None:
    gate = Gate(REVERSED)
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[gate])
    async with saga(external) as started:
        await gate.reached.wait()
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await started.handle.execute_update(update, RESOLVE)
        gate.opened.set()
        snapshot = await started.result()
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "WRONG_STATE"
    assert State.CANCELLING in refused.value.cause.message
    assert snapshot.actions == ()


async def test_an_action_without_an_operator_is_rejected_and_not_recorded(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED] * ATTEMPTS)
    async with saga(external) as started:
        await aborted(environment, started)
        with pytest.raises(WorkflowUpdateFailedError):
            await started.handle.execute_update("resolve", {**RESOLVE.model_dump(), "operator": ""})
        snapshot = await started.snapshot()
        await started.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        await started.result()
    assert snapshot.state is State.ABORTED


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ([], {"operator", "reasonCode", "note", "brokerReference"}),
        ([{"operator": "ops-1", "reasonCode": "NEVER_APPLIED", "note": "x"}], {"brokerReference"}),
        ([{"operator": "ops-1", "reasonCode": "OTHER", "note": "", "brokerReference": "t"}], {"note"}),
    ],
)
async def test_a_rejected_resolution_names_each_field_in_one_line(
    saga: StartSaga, environment: WorkflowEnvironment, sent: list[object], named: set[str]
) -> None:
    """The Temporal UI shows only this message."""
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED] * ATTEMPTS)
    async with saga(external) as started:
        await aborted(environment, started)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await started.handle.execute_update("resolve", args=sent)
        await started.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        await started.result()
    cause = refused.value.cause
    assert isinstance(cause, ApplicationError)
    assert {re.split("[: ]", part)[0] for part in cause.message.split("; ")} == named
    assert "\n" not in cause.message
