"""The saga of one order: adjust, and unless it was applied, cancel adjust until the external system is consistent."""

import asyncio
from datetime import timedelta

from temporalio import workflow

from settlement.ids import (
    APPROVE_UPDATE,
    PROPOSE_UPDATE,
    RESOLVE_UPDATE,
    RETRY_UPDATE,
    WITHDRAW_UPDATE,
    CancelKind,
)
from settlement.limits import ADJUST_START_TO_CLOSE
from settlement.operator_rules import NOTE_LENGTH_MAX
from settlement.snapshot import ActionKind, CancelIntent, OperatorAct, OperatorRequest, Snapshot
from settlement.start import SettlementStart, TakeUp, accepted_input, known_at_start
from settlement.states import END_STATES, CancelResult, Outcome, State, contradicts
from settlement.tasks import UpdateResult
from workflows.adjust import has_expired, send_adjust
from workflows.cancel_rounds import CancelRounds
from workflows.compensation import cancel_intent, needs_confirming
from workflows.journal import Journal
from workflows.lost_calls import calls_of_lost_round, unreported_adjust
from workflows.operator_updates import EMPTY_REQUEST, OperatorActs
from workflows.runtime import history_is_long
from workflows.saga_state import SagaState
from workflows.visibility import (
    APPROVE_DESCRIPTION,
    PROPOSE_DESCRIPTION,
    RESOLVE_DESCRIPTION,
    RETRY_DESCRIPTION,
    WITHDRAW_DESCRIPTION,
)


@workflow.defn
class OrderSettlement:
    """The settlement of one order. Its workflow id is derived from its system and number.

    It has no execution or run timeout. It ends only in an end state of `settlement.states`. A request to stop leads to
    the compensation.
    """

    @workflow.init
    def __init__(self, settlement: SettlementStart) -> None:
        self._settlement = settlement
        self._order = accepted_input(settlement)
        carried = settlement.carried
        self._saga = SagaState(settlement, known_at_start(settlement), carried.round if carried else None)
        self._journal = Journal(settlement, self._saga)
        self._cancels = CancelRounds(settlement, self._saga, self._journal)
        self._acts = OperatorActs(settlement, self._saga, self._journal)
        self._stop_requested = False
        self._stopping: asyncio.Task[None] | None = None
        self._round_requested = False  # by an operator, and not begun
        if settlement.taken_up is not None:
            # Here and not in `run`: an operator's Update in the first workflow task would be handled before it.
            self._record_take_up(settlement.taken_up)

    @workflow.run
    async def run(self, settlement: SettlementStart) -> State:  # noqa: ARG002 - __init__ has it
        """Settle the order. Return its end state after the ledger has recorded it.

        With `taken_up` this workflow continues one that was lost. It starts at the compensation and never sends the
        adjust, because the lost workflow may have sent it. With `carried` it continues its own earlier run: an ABORTED
        settlement continues as new when its history has become long.

        The saga runs in a task of its own. So Temporal's workflow cancellation reaches only this method, which turns
        it into a request to the saga and never interrupts the compensation (docs/architecture.md#step-8).
        """
        saga = asyncio.create_task(self._settle())
        while not saga.done():
            try:
                await asyncio.shield(saga)
            except asyncio.CancelledError:
                self._stopping = asyncio.create_task(self._on_workflow_cancellation())
        return saga.result()

    async def _settle(self) -> State:
        self._journal.open()
        if self._settlement.carried is not None:
            self._saga.show()
            await self._continue_compensation()
        elif self._settlement.taken_up is not None:
            await self._take_up(self._settlement.taken_up.snapshot.state)
        elif has_expired(self._settlement) or workflow.cancellation_reason() is not None:
            self._saga.enter(State.EXPIRED, "expired, or stopped, before adjust was sent; nothing to cancel")
        else:
            await self._adjust_then_decide()
        await self._journal.close()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._saga.state

    async def _adjust_then_decide(self) -> None:
        call = await send_adjust(self._settlement)
        verdict = call.verdict
        # Only fixed words: the reason is shown in the Temporal UI, and a broker's text may hold personal data.
        reason = f"adjust {verdict.outcome} ({verdict.rule})"
        if self._stop_requested:
            reason += "; the workflow was asked to stop"
        match verdict.outcome:
            case Outcome.NOT_SENT:
                self._saga.enter(State.EXPIRED, reason, calls=(call,))
            case Outcome.APPLIED if not self._stop_requested:
                self._saga.enter(State.SETTLED, reason, calls=(call,))
            case _:
                self._saga.enter(State.CANCELLING, reason, calls=(call,))
                await self._compensate(verdict.outcome, reason)

    async def _compensate(self, adjust: Outcome, reason: str) -> None:
        """Cancel the adjust, and cancel it once more after the quarantine if the policy wants the result confirmed."""
        first = self._intent(CancelKind.FIRST, reason)
        result = self._saga.snapshot.cancel_result_of(first.kind) or await self._cancel_until_consistent(first)
        if result is not None and needs_confirming(self._settlement.policy, adjust, result):
            result = await self._confirm(result)
        if result is not None:
            self._saga.enter(State.CANCELLED, f"consistent again: {result}", cancel_result=result)

    async def _confirm(self, first: CancelResult) -> CancelResult | None:
        """Send the confirming cancel after the quarantine. Return None if an operator resolved the settlement.

        A result that contradicts the first one is not believed: the settlement becomes ABORTED. An operator decides.
        The intent is recorded before the wait, so the ledger has it before the cancel is sent.
        """
        delay = timedelta(seconds=self._settlement.policy.confirm_after_s)
        confirming = self._intent(CancelKind.CONFIRMING, f"confirming after {first}", delay)
        if (remaining_s := confirming.request_time_ms / 1000 - workflow.now().timestamp()) > 0:
            await workflow.sleep(remaining_s, summary="quarantine before a second look")
        result = self._saga.snapshot.cancel_result_of(confirming.kind)
        if result is None or contradicts(first, result):
            result = await self._cancel_until_consistent(confirming)
        while result is not None and contradicts(first, result):
            self._saga.enter(State.ABORTED, f"the cancels contradict each other: first {first}, then {result}")
            result = await self._cancel_until_consistent(confirming)
        return result

    async def _continue_compensation(self) -> None:
        """Finish a compensation that an earlier run began."""
        adjust = self._saga.snapshot.adjust
        await self._compensate(adjust.outcome if adjust else Outcome.UNKNOWN, self._saga.snapshot.reason)

    def _intent(self, kind: CancelKind, reason: str, delay: timedelta = timedelta(0)) -> CancelIntent:
        """Return the cancel intent of this kind, creating it (due after `delay`) if there is none."""
        intent = self._saga.cancel_intent(kind)
        if intent is None:
            intent = cancel_intent(kind, reason, round((workflow.now() + delay).timestamp() * 1000))
            self._saga.record_intent(intent)
        return intent

    async def _cancel_until_consistent(self, intent: CancelIntent) -> CancelResult | None:
        """Send one cancel, in as many rounds as operators ask for. Return None if one resolved the settlement."""
        while True:
            await self._wait_for_operator()
            # Checked even without a wait: an Update in the first workflow task of a run is handled before `run`.
            if self._saga.state is State.RESOLVED:
                return None
            if (result := await self._cancels.send(intent)) is not None:
                return result

    async def _wait_for_operator(self) -> None:
        """Wait without a time limit while the settlement is ABORTED.

        Every round of cancels and every proposal passes through here, so a history exceeds its limit by one round at
        most.
        """
        if self._saga.state is State.ABORTED:
            await workflow.wait_condition(lambda: self._saga.state is not State.ABORTED or history_is_long())
            if self._saga.state is State.ABORTED:
                workflow.continue_as_new(SettlementStart(**dict(self._order), carried=self._journal.carry()))
        # A round that an operator asks for may wait for the ledger. Rounds of automation are few and never wait.
        if self._round_requested:
            await workflow.wait_condition(self._journal.has_room)
            self._round_requested = False

    def _record_take_up(self, taken_up: TakeUp) -> None:
        """Add the take-up, and the calls that the lost workflow may have sent, to the audit."""
        self._saga.record_action(ActionKind.TAKE_UP, OperatorAct(operator="reconciliation", note=taken_up.reason))
        if self._saga.state is State.ADJUSTING:
            lost = unreported_adjust(self._settlement, taken_up.reason, self._settlement.accepted_at)
            self._saga.enter(State.CANCELLING, f"adjust {lost.verdict.outcome}; {taken_up.reason}", calls=(lost,))
            return
        lost_at = taken_up.lost_at or workflow.now()
        calls = calls_of_lost_round(self._order, taken_up.snapshot, self._saga.round - 1, lost_at)
        if calls:
            self._saga.record_calls(calls, self._saga.snapshot.reason)

    async def _take_up(self, lost_in: State) -> None:
        """Continue a settlement that was lost in this state. An ABORTED one goes on waiting for an operator."""
        if lost_in is State.ADJUSTING:
            # A worker of the lost workflow may still have the adjust in flight. The cancel must not overtake it.
            await workflow.sleep(ADJUST_START_TO_CLOSE, summary="until an adjust in flight has ended")
            if self._saga.decision_conflict:
                # The lost workflow wrote PROCEED after reconciliation had read the row. Nothing was cancelled yet.
                self._saga.enter(State.ABORTED, "the ledger has the decision PROCEED; nothing was sent")
        else:
            self._saga.show()
        if self._saga.state not in END_STATES:
            await self._continue_compensation()

    async def _on_workflow_cancellation(self) -> None:
        """Void an order without a decision, or retry an ABORTED one (docs/architecture.md#step-8).

        The result of the adjust counts first if both arrive in the same workflow task. An earlier attempt of that task
        may have had the result alone, and its decision may be in the ledger (ADR 0023).
        """
        if self._saga.state is State.ADJUSTING:
            await workflow.wait_condition(lambda: True)  # true only after everything that is ready has run
        reason = (workflow.cancellation_reason() or "workflow cancellation")[:NOTE_LENGTH_MAX]
        act = OperatorAct(operator="temporal", note=reason)
        if self._saga.state is State.ADJUSTING:
            self._stop_requested = True
            self._saga.record_action(ActionKind.WORKFLOW_CANCELLATION, act)
        elif self._saga.state is State.ABORTED:
            self._retry(ActionKind.WORKFLOW_CANCELLATION, act)

    def _retry(self, kind: ActionKind, act: OperatorAct) -> None:
        self._saga.round += 1
        self._round_requested = True
        self._saga.record_action(kind, act)
        self._saga.set_proposal(None)
        self._saga.enter(State.CANCELLING, "cancel adjust retried; the operator actions say by whom and why")

    @workflow.update
    async def decision(self) -> Snapshot:
        """Return the snapshot of the decision. Repeating it returns the same decision.

        It waits until the ledger has the decision, but never for an outage of the ledger.
        """
        await workflow.wait_condition(self._journal.may_tell_decision)
        return self._saga.decided

    @workflow.update(description=RETRY_DESCRIPTION)
    def retry_cancel_adjust(self, request: OperatorRequest = EMPTY_REQUEST) -> UpdateResult:
        """Take an ABORTED settlement back to CANCELLING. Rejected in any other state."""
        self._retry(ActionKind.RETRY_CANCEL_ADJUST, request.as_recorded())
        return self._saga.update_result()

    @workflow.update(description=RESOLVE_DESCRIPTION)
    def resolve(self, request: OperatorRequest = EMPTY_REQUEST) -> UpdateResult:
        """Close an ABORTED settlement with reason and evidence. Rejected in any other state."""
        return self._acts.resolve(request)

    @workflow.update(description=PROPOSE_DESCRIPTION)
    def propose_resolution(self, request: OperatorRequest = EMPTY_REQUEST) -> UpdateResult:
        """Propose how to close an ABORTED settlement above the four-eyes amount. Replaces an earlier proposal."""
        return self._acts.propose(request)

    @workflow.update(description=APPROVE_DESCRIPTION)
    def approve_resolution(self, request: OperatorRequest = EMPTY_REQUEST) -> UpdateResult:
        """Close an ABORTED settlement as another client has proposed."""
        return self._acts.approve(request)

    @workflow.update(description=WITHDRAW_DESCRIPTION)
    def withdraw_proposal(self, request: OperatorRequest = EMPTY_REQUEST) -> UpdateResult:
        """Remove the proposal of an ABORTED settlement."""
        return self._acts.withdraw(request)

    @retry_cancel_adjust.validator
    def _check_retry(self, request: OperatorRequest = EMPTY_REQUEST) -> None:
        self._acts.check(RETRY_UPDATE, request)

    @resolve.validator
    def _check_resolve(self, request: OperatorRequest = EMPTY_REQUEST) -> None:
        self._acts.check(RESOLVE_UPDATE, request)

    @propose_resolution.validator
    def _check_propose(self, request: OperatorRequest = EMPTY_REQUEST) -> None:
        self._acts.check(PROPOSE_UPDATE, request)

    @approve_resolution.validator
    def _check_approve(self, request: OperatorRequest = EMPTY_REQUEST) -> None:
        self._acts.check(APPROVE_UPDATE, request)

    @withdraw_proposal.validator
    def _check_withdraw(self, request: OperatorRequest = EMPTY_REQUEST) -> None:
        self._acts.check(WITHDRAW_UPDATE, request)

    @workflow.query(description="What this settlement knows; of a long audit the newest entries")
    def snapshot(self) -> Snapshot:
        """Return the newest snapshot. Of a long audit, the oldest entries are only in the ledger."""
        return self._saga.snapshot
