"""A settlement that was or becomes ABORTED waits for an operator, and one that had ended is unchanged."""

from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from settlement.ids import CancelKind, cancel_unique_no
from settlement.snapshot import ActionKind, OperatorRequest, Snapshot
from settlement.start import SettlementInput
from settlement.states import END_STATES, CancelResult, State, decision_of
from tests.saga.take_up.conftest import Known, TakeItUp, bodies, script
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.sagas import end_of, workers
from tests.support.scripted import REVERSED
from tests.support.story_acts import ATTEMPTS, FAILED, RESOLVE, RETRY
from tests.support.story_acts import aborted as until_aborted
from workflows.order_settlement import OrderSettlement
from workflows.start import start_operation


@pytest.mark.parametrize(
    ("known", "kind"),
    [(lost.aborted, CancelKind.FIRST), (lost.aborted_confirming, CancelKind.CONFIRMING)],
    ids=["first", "confirming"],
)
async def test_an_aborted_settlement_waits_again_and_a_retry_repeats_its_cancel(
    taking_up: TakeItUp,
    accepted: SettlementInput,
    environment: WorkflowEnvironment,
    known: Known,
    kind: CancelKind,
) -> None:
    before = known(accepted)
    external = script(REVERSED)
    async with taking_up(accepted, before, external) as saga:
        await environment.sleep(3600)
        waiting = await saga.snapshot()
        assert (waiting.state, waiting.calls) == (State.ABORTED, before.calls)
        assert external.cancels == []
        await saga.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        snapshot = await saga.result()
    (body,) = bodies(external)
    (began,) = [act for act in before.cancel_intents if act.kind is kind]
    assert body.requestUniqueNo == cancel_unique_no(accepted.adjust.requestUniqueNo, kind)
    assert (body.requestTime, body.cancelRemark) == (began.request_time_ms, began.remark)
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert snapshot.calls[-1].round > max(call.round for call in before.calls)
    assert [act.kind for act in snapshot.actions] == [ActionKind.TAKE_UP, ActionKind.RETRY_CANCEL_ADJUST]


async def test_an_aborted_settlement_can_be_resolved(taking_up: TakeItUp, accepted: SettlementInput) -> None:
    external = script()
    async with taking_up(accepted, lost.aborted(accepted), external) as saga:
        await saga.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        snapshot = await saga.result()
    assert (snapshot.state, external.cancels) == (State.RESOLVED, [])
    assert [act.kind for act in snapshot.actions] == [ActionKind.TAKE_UP, ActionKind.RESOLVE]


@pytest.mark.parametrize(
    ("update", "kind", "rounds"),
    [
        ((OrderSettlement.resolve, RESOLVE), ActionKind.RESOLVE, []),
        ((OrderSettlement.retry_cancel_adjust, RETRY), ActionKind.RETRY_CANCEL_ADJUST, [2]),
    ],
    ids=["resolve", "retry"],
)
async def test_an_action_in_the_first_workflow_task_follows_the_take_up(  # noqa: PLR0913, PLR0917 - fixtures
    environment: WorkflowEnvironment,
    ledger: FlakyLedger,
    accepted: SettlementInput,
    update: tuple[Any, OperatorRequest],
    kind: ActionKind,
    rounds: list[int],
) -> None:
    """The SDK runs Updates before `run`. The take-up must be recorded first, and a retry must not change its round."""
    before = lost.aborted(accepted)
    await ledger.record(accepted, before)
    start = start_operation(accepted, lost.taken_up(before))
    async with workers(environment.client, script(REVERSED), ledger):
        await environment.client.execute_update_with_start_workflow(*update, start_workflow_operation=start)
        snapshot = await end_of(await start.workflow_handle())
    assert [action.kind for action in snapshot.actions] == [ActionKind.TAKE_UP, kind]
    assert [call.round for call in snapshot.calls[len(before.calls) :]] == rounds


async def test_a_settlement_that_was_taken_up_can_abort(
    taking_up: TakeItUp, accepted: SettlementInput, environment: WorkflowEnvironment
) -> None:
    external = script(*[FAILED] * ATTEMPTS)
    async with taking_up(accepted, lost.cancelling(accepted), external) as saga:
        await until_aborted(environment, saga)
        await saga.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        await saga.result()
    assert len(external.cancels) == ATTEMPTS


@pytest.mark.parametrize("state", sorted(END_STATES))
async def test_a_settlement_that_had_ended_is_unchanged(
    taking_up: TakeItUp, accepted: SettlementInput, state: State
) -> None:
    """The take-up had an older snapshot than the lost workflow; nothing is sent."""
    known = Snapshot(
        version=5,
        state=state,
        decision=decision_of(state),
        decided_at=accepted.accepted_at,
        updated_at=accepted.accepted_at,
    )
    external = script()
    async with taking_up(accepted, known, external) as saga:
        snapshot = await saga.result()
    assert (snapshot.state, snapshot.decision, snapshot.version) == (state, decision_of(state), 6)
    assert external.cancels == []
