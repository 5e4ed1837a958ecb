"""A settlement whose workflow was lost is compensated: no adjust is sent again, and a cancel is the same request."""

from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment

from settlement.ids import CancelKind, cancel_unique_no
from settlement.start import SettlementInput
from settlement.states import CancelResult, Decision, Outcome, State
from tests.saga.conftest import StartSaga
from tests.saga.take_up.conftest import TakeItUp, bodies, script, unreported
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.orders import settlement
from tests.support.sagas import settling
from tests.support.scripted import NEVER_RECEIVED, NOT_APPLIED, REVERSED, UNKNOWN, Gate, ScriptedExternalSystem
from tests.support.story_acts import ATTEMPTS, FAILED
from workflows.order_settlement import OrderSettlement


async def test_an_order_that_may_have_been_sent_is_cancelled_and_never_sent_again(
    taking_up: TakeItUp, accepted: SettlementInput
) -> None:
    external = script(REVERSED)
    async with taking_up(accepted, lost.adjusting(accepted), external) as saga:
        decided = await saga.handle.execute_update(OrderSettlement.decision)
        snapshot = await saga.result()
    assert (decided.state, decided.decision) == (State.CANCELLING, Decision.VOID)
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert external.adjusts == []
    adjust, cancel = snapshot.calls
    assert (adjust.verdict.outcome, adjust.duration_ms, adjust.sent_at) == (Outcome.UNKNOWN, None, accepted.accepted_at)
    assert cancel.request_unique_no == cancel_unique_no(accepted.adjust.requestUniqueNo, CancelKind.FIRST)


async def test_the_cancel_waits_for_an_adjust_that_may_still_be_in_flight(
    taking_up: TakeItUp, accepted: SettlementInput
) -> None:
    external = script(REVERSED)
    async with taking_up(accepted, lost.adjusting(accepted), external) as saga:
        snapshot = await saga.result()
        started_at = (await saga.handle.describe()).start_time
    first_cancel_ms = bodies(external)[0].requestTime
    assert first_cancel_ms - started_at.timestamp() * 1000 >= 6_000
    assert snapshot.decided_at is not None
    assert (snapshot.decided_at - started_at).total_seconds() < 6


async def test_never_received_is_confirmed_after_the_quarantine(taking_up: TakeItUp, accepted: SettlementInput) -> None:
    """The adjust of a lost workflow may still arrive."""
    external = script(NEVER_RECEIVED, REVERSED)
    async with taking_up(accepted, lost.adjusting(accepted), external) as saga:
        snapshot = await saga.result()
    assert snapshot.cancel_result is CancelResult.REVERSED
    first, second = bodies(external)
    assert second.requestTime - first.requestTime >= accepted.policy.confirm_after_s * 1000


async def test_an_interrupted_cancel_is_sent_again_as_the_same_request(
    saga: StartSaga, environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """The same number and body: a broker that identifies reversals by either of them reverses the amount only once."""
    gate = Gate(REVERSED)
    first_run = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[gate])
    async with saga(first_run) as started:
        await gate.reached.wait()
        known = await started.snapshot()
        await started.handle.terminate()
        gate.opened.set()
    assert known.state is State.CANCELLING
    second_run = script(FAILED, REVERSED)
    async with settling(environment, ledger, second_run, started.settlement, lost.taken_up(known)) as again:
        snapshot = await again.result()
    assert len({body.model_dump_json() for body in [*first_run.cancels, *second_run.cancels]}) == 1
    assert len(second_run.cancels) == 2
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert snapshot.decided_at == known.decided_at
    assert len(unreported(snapshot)) >= len(first_run.cancels)


async def test_the_quarantine_ends_as_planned_and_the_answered_cancel_is_not_sent_again(
    taking_up: TakeItUp, environment: WorkflowEnvironment
) -> None:
    accepted = settlement(accepted_at=await environment.get_current_time())
    known = lost.quarantined(accepted)
    external = script(REVERSED)
    async with taking_up(accepted, known, external) as saga:
        snapshot = await saga.result()
        ended_at = await environment.get_current_time()
    (body,) = bodies(external)
    assert ended_at.timestamp() * 1000 >= known.cancel_intents[1].request_time_ms
    assert body.requestUniqueNo == cancel_unique_no(accepted.adjust.requestUniqueNo, CancelKind.CONFIRMING)
    assert (body.requestTime, body.cancelRemark) == (known.cancel_intents[1].request_time_ms, lost.REMARK)
    assert snapshot.cancel_result is CancelResult.REVERSED
    assert [call.kind for call in snapshot.calls] == [None, CancelKind.FIRST, CancelKind.CONFIRMING]
    assert unreported(snapshot) == []


async def test_a_quarantine_that_is_over_is_not_repeated(taking_up: TakeItUp, accepted: SettlementInput) -> None:
    async with taking_up(accepted, lost.quarantined(accepted), script(NOT_APPLIED)) as saga:
        snapshot = await saga.result()
        history = await saga.handle.fetch_history()
    assert snapshot.cancel_result is CancelResult.NOT_APPLIED
    assert {call.kind for call in unreported(snapshot)} == {CancelKind.CONFIRMING}
    assert not [event for event in history.events if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED]


async def test_a_settlement_without_a_recorded_call_is_compensated(
    taking_up: TakeItUp, accepted: SettlementInput
) -> None:
    known = lost.cancelling(accepted).model_copy(update={"calls": ()})
    async with taking_up(accepted, known, script(REVERSED)) as saga:
        snapshot = await saga.result()
    assert snapshot.cancel_result is CancelResult.REVERSED
    assert [call.round for call in snapshot.calls] == [0] * ATTEMPTS + [1]
