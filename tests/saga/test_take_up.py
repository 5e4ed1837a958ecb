"""A settlement whose workflow was lost is gone on with: never adjusted again, its cancel the very same request."""

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
    """Run a server for each test: one that terminates a workflow in the middle of a call stops this server's clock."""
    async with time_skipping() as started:
        yield started


@pytest.fixture
def taking_up(environment: WorkflowEnvironment, ledger: FlakyLedger) -> TakeItUp:
    """Return what goes on for a lost workflow of which so much is known; the ledger knows as much."""

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
    """Return an external system that fails the test if it is sent an adjust."""
    return ScriptedExternalSystem(adjust=AssertionError("adjusted again"), cancels=cancels)  # type: ignore[arg-type] # any answers


def unheard(snapshot: Snapshot) -> list[CallRecord]:
    """Return the cancels that may have been sent by a workflow that was lost before it heard of them."""
    return [call for call in snapshot.calls if call.kind and call.verdict == LOST_WITH_ITS_WORKFLOW]


def bodies(external: ScriptedExternalSystem) -> list[CancelAdjustBody]:
    return [CancelAdjustBody.model_validate(body) for body in external.cancels]


async def test_what_may_have_been_sent_is_void_and_cancelled_and_never_sent_again(
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


async def test_no_cancel_overtakes_an_adjust_that_may_still_be_in_flight(
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


async def test_never_received_is_looked_at_again_after_the_quarantine(
    taking_up: TakeItUp, accepted: SettlementInput
) -> None:
    """The adjust of a lost workflow may still be on its way."""
    external = script(NEVER_RECEIVED, REVERSED)
    async with taking_up(accepted, lost.adjusting(accepted), external) as saga:
        snapshot = await saga.result()
    assert snapshot.cancel_result is CancelResult.REVERSED
    first, second = bodies(external)
    assert second.requestTime - first.requestTime >= accepted.policy.confirm_after_s * 1000


async def test_a_cancel_that_was_under_way_is_sent_again_as_the_same_request(
    saga: StartSaga, environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """Same number, same body byte for byte: a broker that keys reversals by either gives the amount back once."""
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
    assert len(unheard(snapshot)) >= len(first_run.cancels)


async def test_each_workflow_that_goes_on_makes_rounds_of_its_own(
    taking_up: TakeItUp, accepted: SettlementInput, environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """A round that was lost with its workflow keeps its number: the audit must not hold two calls of one name."""
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
async def test_whatever_the_lost_workflow_may_have_sent_is_in_the_audit(
    environment: WorkflowEnvironment, ledger: FlakyLedger, accepted: SettlementInput, after_s: float, begun: int
) -> None:
    """Nobody heard of it; but only so many attempts fit between the cancel's begin and the workflow's end."""
    known = lost.cancelling(accepted)
    taken_up = lost.taken_up(known, lost_at=known.updated_at + timedelta(seconds=after_s))
    async with settling(environment, ledger, script(REVERSED), accepted, taken_up) as saga:
        snapshot = await saga.result()
    calls = unheard(snapshot)
    assert [(call.kind, call.round, call.attempt) for call in calls] == [
        (CancelKind.FIRST, 0, attempt + 1) for attempt in range(begun)
    ]
    assert {(call.request_unique_no, call.sent_at) for call in calls} == {
        (cancel_unique_no(accepted.adjust.requestUniqueNo, CancelKind.FIRST), known.updated_at)
    }


async def test_the_audit_says_who_took_it_up_and_why(taking_up: TakeItUp, accepted: SettlementInput) -> None:
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
async def test_versions_go_on_above_the_ledgers(
    taking_up: TakeItUp, accepted: SettlementInput, known: Callable[[SettlementInput], Snapshot]
) -> None:
    """Else the ledger would keep what it has, and never hear of the end."""
    before = known(accepted)
    async with taking_up(accepted, before, script(FAILED)) as saga:

        async def recorded() -> Snapshot | None:
            snapshot = await saga.recorded()
            return snapshot if snapshot and snapshot.version > before.version else None

        after = await until(recorded, what="a write above the ledger's version")
        await saga.handle.terminate()
    assert after.actions[-1].kind is ActionKind.TAKE_UP
    assert after.calls[: len(before.calls)] == before.calls


async def test_the_quarantine_ends_when_it_was_due_and_the_answered_cancel_is_not_sent_again(
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
    assert unheard(snapshot) == []


async def test_a_quarantine_that_is_over_is_not_begun_anew(taking_up: TakeItUp, accepted: SettlementInput) -> None:
    async with taking_up(accepted, lost.quarantined(accepted), script(NOT_APPLIED)) as saga:
        snapshot = await saga.result()
        history = await saga.handle.fetch_history()
    assert snapshot.cancel_result is CancelResult.NOT_APPLIED
    assert {call.kind for call in unheard(snapshot)} == {CancelKind.CONFIRMING}
    assert not [event for event in history.events if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED]


@pytest.mark.parametrize(
    ("known", "kind"),
    [(lost.aborted, CancelKind.FIRST), (lost.aborted_confirming, CancelKind.CONFIRMING)],
    ids=["first", "confirming"],
)
async def test_an_aborted_one_waits_as_it_did_and_a_retry_repeats_its_cancel(
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


async def test_an_aborted_one_can_be_resolved(taking_up: TakeItUp, accepted: SettlementInput) -> None:
    external = script()
    async with taking_up(accepted, lost.aborted(accepted), external) as saga:
        await saga.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        snapshot = await saga.result()
    assert (snapshot.state, external.cancels) == (State.RESOLVED, [])
    assert [act.kind for act in snapshot.actions] == [ActionKind.TAKE_UP, ActionKind.RESOLVE]


async def test_one_that_is_taken_up_can_abort(
    taking_up: TakeItUp, accepted: SettlementInput, environment: WorkflowEnvironment
) -> None:
    external = script(*[FAILED] * ATTEMPTS)
    async with taking_up(accepted, lost.cancelling(accepted), external) as saga:
        await until_aborted(environment, saga)
        await saga.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        await saga.result()
    assert len(external.cancels) == ATTEMPTS


@pytest.mark.parametrize("state", sorted(END_STATES))
async def test_one_that_had_ended_stays_as_it_was(taking_up: TakeItUp, accepted: SettlementInput, state: State) -> None:
    """Whoever took it up knew less than the lost workflow did; nothing is sent for it."""
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


async def test_one_without_a_single_call_in_its_record_is_compensated(
    taking_up: TakeItUp, accepted: SettlementInput
) -> None:
    known = lost.cancelling(accepted).model_copy(update={"calls": ()})
    async with taking_up(accepted, known, script(REVERSED)) as saga:
        snapshot = await saga.result()
    assert snapshot.cancel_result is CancelResult.REVERSED
    assert [call.round for call in snapshot.calls] == [0] * ATTEMPTS + [1]


@pytest.mark.parametrize("known", [lost.adjusting, lost.cancelling], ids=["adjusting", "cancelling"])
async def test_workflow_cancellation_tears_no_take_up_apart(
    taking_up: TakeItUp, accepted: SettlementInput, known: Callable[[SettlementInput], Snapshot]
) -> None:
    gate = Gate(REVERSED)
    async with taking_up(accepted, known(accepted), script(gate)) as saga:
        await saga.handle.cancel()
        await saga.reaches(State.CANCELLING)
        gate.opened.set()
        snapshot = await saga.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)


async def test_workflow_cancellation_of_an_aborted_one_is_one_more_round(
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
    """One that is begun anew has sent its adjust, as far as anyone knows: it must not conclude EXPIRED."""
    handle = await take_up(environment.client, accepted, lost.taken_up(known(accepted)))
    await handle.cancel()
    external = script(REVERSED)
    async with workers(environment.client, external, ledger):
        snapshot = await handle.result()
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert ActionKind.TAKE_UP in [act.kind for act in snapshot.actions]


async def test_one_that_is_running_is_joined_and_nothing_else(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    gate = Gate(APPLIED)
    external = ScriptedExternalSystem(adjust=gate)
    async with saga(external) as started:
        await gate.reached.wait()
        await take_up(environment.client, started.settlement, lost.taken_up(lost.adjusting(started.settlement)))
        gate.opened.set()
        snapshot = await started.result()
    assert (snapshot.state, snapshot.actions) == (State.SETTLED, ())


async def test_one_that_came_to_its_end_is_never_followed(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    async with saga(ScriptedExternalSystem(adjust=APPLIED)) as started:
        await started.result()
        with pytest.raises(WorkflowAlreadyStartedError):
            await take_up(environment.client, started.settlement, lost.taken_up(lost.adjusting(started.settlement)))


async def test_only_reconciliation_follows_one_that_was_ended_from_outside(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    """The lost one may have given a decision that the ledger does not have; a repeated POST has not asked it."""
    async with saga(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[Gate(REVERSED)])) as started:
        await started.handle.terminate()
    known = lost.taken_up(lost.adjusting(started.settlement))
    with pytest.raises(WorkflowAlreadyStartedError):
        await start_workflow(environment.client, started.settlement, known)
    handle = await take_up(environment.client, started.settlement, known)
    await handle.terminate()
