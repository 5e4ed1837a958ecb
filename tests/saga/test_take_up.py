"""A settlement whose workflow was lost continues: its adjust is never sent again, its cancel is the same request."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.testing import WorkflowEnvironment

from contract.cancel_adjust import CancelAdjustBody
from settlement.calls import CallRecord
from settlement.ids import CancelKind, cancel_unique_no
from settlement.snapshot import ActionKind, Snapshot
from settlement.start import SettlementInput
from settlement.states import END_STATES, CancelResult, Decision, Outcome, State, decision_of
from tests.saga.conftest import StartSaga
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.orders import settlement
from tests.support.polling import until
from tests.support.sagas import Saga, settling, time_skipping, workers
from tests.support.scripted import (
    APPLIED,
    NEVER_RECEIVED,
    NOT_APPLIED,
    REVERSED,
    UNKNOWN,
    Gate,
    ScriptedExternalSystem,
)
from tests.support.stories import ATTEMPTS, FAILED, RESOLVE, RETRY
from tests.support.stories import aborted as until_aborted
from workflows.lost_calls import LOST_WITH_ITS_WORKFLOW
from workflows.order_settlement import OrderSettlement
from workflows.start import start_workflow, take_up

TakeItUp = Callable[[SettlementInput, Snapshot, ScriptedExternalSystem], AbstractAsyncContextManager[Saga]]


@pytest_asyncio.fixture
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    """Run a server for each test: terminating a workflow during a call can stop this server's time skipping."""
    async with time_skipping() as started:
        yield started


@pytest.fixture
def taking_up(environment: WorkflowEnvironment, ledger: FlakyLedger) -> TakeItUp:
    """Return a function that starts the take-up of a lost workflow with this snapshot, which the ledger has too."""

    @asynccontextmanager
    async def start(
        accepted: SettlementInput, known: Snapshot, external: ScriptedExternalSystem
    ) -> AsyncIterator[Saga]:
        await ledger.record(accepted, known)
        async with settling(environment, ledger, external, accepted, lost.taken_up(known)) as saga:
            yield saga

    return start


@pytest.fixture
async def accepted(environment: WorkflowEnvironment) -> SettlementInput:
    return settlement(accepted_at=await environment.get_current_time() - timedelta(minutes=5))


def script(*cancels: object) -> ScriptedExternalSystem:
    """Return an external system that fails the test if it receives an adjust."""
    return ScriptedExternalSystem(adjust=AssertionError("adjusted again"), cancels=cancels)  # type: ignore[arg-type] # any answers


def unreported(snapshot: Snapshot) -> list[CallRecord]:
    """Return the cancels that a lost workflow may have sent without reporting them."""
    return [call for call in snapshot.calls if call.kind and call.verdict == LOST_WITH_ITS_WORKFLOW]


def bodies(external: ScriptedExternalSystem) -> list[CancelAdjustBody]:
    return [CancelAdjustBody.model_validate(body) for body in external.cancels]


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


async def test_each_take_up_begins_a_new_round(
    taking_up: TakeItUp, accepted: SettlementInput, environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """A round that was lost with its workflow keeps its number: no two calls in the audit have the same identity."""
    async with taking_up(accepted, lost.cancelling(accepted), script(Gate(UNKNOWN))) as first:
        known = await first.snapshot()
        await first.handle.terminate()
    external = script(FAILED, REVERSED)
    async with settling(environment, ledger, external, accepted, lost.taken_up(known)) as second:
        snapshot = await second.result()
    cancels = [(call.round, call.attempt) for call in snapshot.calls[1:]]
    assert {round_ for round_, _ in cancels} == {0, 1, 2}
    assert cancels[-2:] == [(2, 1), (2, 2)]
    assert len(set(cancels)) == len(cancels)
    assert [act.kind for act in snapshot.actions] == [ActionKind.TAKE_UP, ActionKind.TAKE_UP]


@pytest.mark.parametrize(("after_s", "begun"), [(0, 1), (0.5, 1), (1, 2), (2.5, 2), (3, ATTEMPTS), (3600, ATTEMPTS)])
async def test_every_cancel_that_the_lost_workflow_may_have_sent_is_in_the_audit(
    environment: WorkflowEnvironment, ledger: FlakyLedger, accepted: SettlementInput, after_s: float, begun: int
) -> None:
    """Their number is limited by the time between the start of the cancel and the end of the workflow."""
    known = lost.cancelling(accepted)
    taken_up = lost.taken_up(known, lost_at=known.updated_at + timedelta(seconds=after_s))
    async with settling(environment, ledger, script(REVERSED), accepted, taken_up) as saga:
        snapshot = await saga.result()
    calls = unreported(snapshot)
    assert [(call.kind, call.round, call.attempt) for call in calls] == [
        (CancelKind.FIRST, 0, attempt + 1) for attempt in range(begun)
    ]
    assert {(call.request_unique_no, call.sent_at) for call in calls} == {
        (cancel_unique_no(accepted.adjust.requestUniqueNo, CancelKind.FIRST), known.updated_at)
    }


async def test_the_audit_has_the_take_up_and_its_reason(taking_up: TakeItUp, accepted: SettlementInput) -> None:
    async with taking_up(accepted, lost.cancelling(accepted), script(REVERSED)) as saga:
        snapshot = await saga.result()
    (act,) = snapshot.actions
    assert (act.kind, act.operator, act.note) == (ActionKind.TAKE_UP, "reconciliation", lost.REASON)


KNOWN: dict[str, Callable[[SettlementInput], Snapshot]] = {
    "adjusting": lost.adjusting,
    "cancelling": lost.cancelling,
    "quarantined": lost.quarantined,
    "aborted": lost.aborted,
    "aborted confirming": lost.aborted_confirming,
}


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
async def test_versions_continue_above_the_ledgers(
    taking_up: TakeItUp, accepted: SettlementInput, known: Callable[[SettlementInput], Snapshot]
) -> None:
    """Otherwise the ledger would ignore the new snapshots and never record the end."""
    before = known(accepted)
    async with taking_up(accepted, before, script(FAILED)) as saga:

        async def recorded() -> Snapshot | None:
            snapshot = await saga.recorded()
            return snapshot if snapshot and snapshot.version > before.version else None

        after = await until(recorded, what="a write above the ledger's version")
        await saga.handle.terminate()
    assert after.actions[-1].kind is ActionKind.TAKE_UP
    assert after.calls[: len(before.calls)] == before.calls


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


@pytest.mark.parametrize(
    ("known", "kind"),
    [(lost.aborted, CancelKind.FIRST), (lost.aborted_confirming, CancelKind.CONFIRMING)],
    ids=["first", "confirming"],
)
async def test_an_aborted_settlement_waits_again_and_a_retry_repeats_its_cancel(
    taking_up: TakeItUp,
    accepted: SettlementInput,
    environment: WorkflowEnvironment,
    known: Callable[[SettlementInput], Snapshot],
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


async def test_a_settlement_without_a_recorded_call_is_compensated(
    taking_up: TakeItUp, accepted: SettlementInput
) -> None:
    known = lost.cancelling(accepted).model_copy(update={"calls": ()})
    async with taking_up(accepted, known, script(REVERSED)) as saga:
        snapshot = await saga.result()
    assert snapshot.cancel_result is CancelResult.REVERSED
    assert [call.round for call in snapshot.calls] == [0] * ATTEMPTS + [1]


@pytest.mark.parametrize("known", [lost.adjusting, lost.cancelling], ids=["adjusting", "cancelling"])
async def test_workflow_cancellation_does_not_interrupt_a_take_up(
    taking_up: TakeItUp, accepted: SettlementInput, known: Callable[[SettlementInput], Snapshot]
) -> None:
    gate = Gate(REVERSED)
    async with taking_up(accepted, known(accepted), script(gate)) as saga:
        await saga.handle.cancel()
        await saga.reaches(State.CANCELLING)
        gate.opened.set()
        snapshot = await saga.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)


async def test_workflow_cancellation_of_an_aborted_settlement_is_one_more_round(
    taking_up: TakeItUp, accepted: SettlementInput
) -> None:
    external = script(REVERSED)
    async with taking_up(accepted, lost.aborted(accepted), external) as saga:
        await saga.reaches(State.ABORTED)
        await saga.handle.cancel(reason="maintenance")
        snapshot = await saga.result()
    assert snapshot.state is State.CANCELLED
    assert [act.kind for act in snapshot.actions] == [ActionKind.TAKE_UP, ActionKind.WORKFLOW_CANCELLATION]


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
async def test_workflow_cancellation_before_the_first_task_still_compensates(
    environment: WorkflowEnvironment,
    ledger: FlakyLedger,
    accepted: SettlementInput,
    known: Callable[[SettlementInput], Snapshot],
) -> None:
    """The lost workflow may have sent the adjust, so the new one must not conclude EXPIRED."""
    handle = await take_up(environment.client, accepted, lost.taken_up(known(accepted)))
    await handle.cancel()
    external = script(REVERSED)
    async with workers(environment.client, external, ledger):
        snapshot = await handle.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert ActionKind.TAKE_UP in [act.kind for act in snapshot.actions]


async def test_a_running_workflow_is_joined(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    gate = Gate(APPLIED)
    external = ScriptedExternalSystem(adjust=gate)
    async with saga(external) as started:
        await gate.reached.wait()
        await take_up(environment.client, started.settlement, lost.taken_up(lost.adjusting(started.settlement)))
        gate.opened.set()
        snapshot = await started.result()
    assert (snapshot.state, snapshot.actions) == (State.SETTLED, ())


async def test_no_workflow_follows_one_that_completed(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    async with saga(ScriptedExternalSystem(adjust=APPLIED)) as started:
        await started.result()
        with pytest.raises(WorkflowAlreadyStartedError):
            await take_up(environment.client, started.settlement, lost.taken_up(lost.adjusting(started.settlement)))


async def test_only_reconciliation_follows_a_workflow_that_was_ended_from_outside(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    """The lost one may have a decision that the ledger lacks, and a repeated POST does not query it."""
    async with saga(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[Gate(REVERSED)])) as started:
        await started.handle.terminate()
    known = lost.taken_up(lost.adjusting(started.settlement))
    with pytest.raises(WorkflowAlreadyStartedError):
        await start_workflow(environment.client, started.settlement, known)
    handle = await take_up(environment.client, started.settlement, known)
    await handle.terminate()
