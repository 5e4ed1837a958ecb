"""The saga of one order: adjust, and if that did not certainly work, cancel adjust until it is undone."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.adjust import Adjust
    from activities.cancel_adjust import CancelAdjust
    from settlement.calls import CallRecord
    from settlement.ids import CancelKind
    from settlement.limits import ADJUST_START_TO_CLOSE, CANCEL_START_TO_CLOSE
    from settlement.operator_rules import NOTE_LENGTH_MAX, ResolveRules, RetryRules
    from settlement.snapshot import ActionKind, CancelIntent, OperatorRequest, Snapshot
    from settlement.start import SettlementStart, TakeUp, accepted_input, known_at_start
    from settlement.states import END_STATES, CancelResult, Outcome, State
    from settlement.tasks import AdjustTask, CancelReport, CancelTask, UpdateResult

from workflows.compensation import cancel_intent, cancel_retry, cancel_task, needs_confirming
from workflows.journal import Journal
from workflows.lost_calls import calls_of_failed_cancel, calls_of_lost_round, lost_adjust, unreported_adjust
from workflows.operator_updates import NOTHING_FILLED_IN, must_hold
from workflows.runtime import CANCEL_TASK_QUEUE, fairness, history_is_long
from workflows.saga_state import SagaState
from workflows.visibility import RESOLVE_DESCRIPTION, RETRY_DESCRIPTION, money

ONE_ATTEMPT = RetryPolicy(maximum_attempts=1)
"""A second adjust would be a second call, and its answer would hide the first one's."""


@workflow.defn
class OrderSettlement:
    """One settlement. Its id is derived from requestUniqueNo; it has no execution or run timeout.

    It ends in an end state of `settlement.states`, and in no other way: asked to stop, it compensates.
    """

    @workflow.init
    def __init__(self, settlement: SettlementStart) -> None:
        self._settlement = settlement
        carried = settlement.carried
        self._saga = SagaState(settlement, known_at_start(settlement), carried.round if carried else None)
        self._journal = Journal(settlement, self._saga)
        self._stop_requested = False

    @workflow.run
    async def run(self, settlement: SettlementStart) -> Snapshot:  # noqa: ARG002 - __init__ has it
        """Settle the order and return the last snapshot, once it is in the ledger.

        With `taken_up` the workflow goes on for a predecessor that was lost, straight at its compensation:
        whether the adjust was sent is then as good as unknown, and it is never sent again. With `carried` it goes
        on for itself: an ABORTED settlement continues as new when its history has become long.

        The story runs as a task of its own, so that Temporal's workflow cancellation reaches only this
        method: it may change what the story does next, but never tears it apart (design, step 8).
        """
        story = asyncio.create_task(self._settle())
        while not story.done():
            try:
                await asyncio.shield(story)
            except asyncio.CancelledError:
                self._on_workflow_cancellation()
        return story.result()

    async def _settle(self) -> Snapshot:
        self._journal.open()
        if self._settlement.carried is not None:
            self._saga.show()
            await self._go_on()
        elif self._settlement.taken_up is not None:
            await self._take_up(self._settlement.taken_up)
        elif self._is_stale() or workflow.cancellation_reason() is not None:
            self._saga.enter(State.EXPIRED, "expired, or stopped, before adjust was sent; nothing to cancel")
        else:
            await self._adjust_then_decide()
        await self._journal.close()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._saga.snapshot

    async def _take_up(self, taken_up: TakeUp) -> None:
        """Do what is left to do for a settlement whose workflow was lost; an aborted one waits as it did."""
        self._saga.act(ActionKind.TAKE_UP, OperatorRequest(operator="reconciliation", note=taken_up.reason))
        if self._saga.state is State.ADJUSTING:
            lost = unreported_adjust(self._settlement, taken_up.reason, self._settlement.accepted_at)
            self._saga.enter(State.CANCELLING, f"adjust {lost.verdict.outcome}; {taken_up.reason}", calls=(lost,))
            # No cancel may overtake an adjust that a worker of the lost workflow still has in flight.
            await workflow.sleep(ADJUST_START_TO_CLOSE, summary="until an adjust in flight has ended")
        else:
            self._learn_lost_round(taken_up)
            self._saga.show()
        if self._saga.state not in END_STATES:
            await self._go_on()

    async def _go_on(self) -> None:
        """Do what is left to do of a compensation that another run has begun."""
        adjust = self._saga.snapshot.adjust
        await self._compensate(adjust.outcome if adjust else Outcome.UNKNOWN, self._saga.snapshot.reason)

    def _learn_lost_round(self, taken_up: TakeUp) -> None:
        lost_at = taken_up.lost_at or workflow.now()
        calls = calls_of_lost_round(self._settlement, taken_up.snapshot, self._saga.round - 1, lost_at)
        if calls:
            self._saga.learn(calls, self._saga.snapshot.reason)

    def _is_stale(self) -> bool:
        accepted_at = min(self._settlement.accepted_at, workflow.info().workflow_start_time)
        return workflow.now() - accepted_at >= timedelta(seconds=self._settlement.policy.expire_after_s)

    async def _adjust_then_decide(self) -> None:
        call = await self._adjust()
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

    async def _adjust(self) -> CallRecord:
        settlement = self._settlement
        expires_after = timedelta(seconds=settlement.policy.expire_after_s)
        scheduled_at = workflow.now()
        try:
            return await workflow.execute_activity_method(
                Adjust.adjust,
                AdjustTask(
                    adjust=settlement.adjust,
                    trace=settlement.trace,
                    company_id=settlement.company_id,
                    expires_at=settlement.accepted_at + expires_after,
                ),
                schedule_to_start_timeout=expires_after,
                start_to_close_timeout=ADJUST_START_TO_CLOSE,
                retry_policy=ONE_ATTEMPT,
                summary=f"adjust {money(settlement)}",
                priority=fairness(settlement.company_id),
            )
        except ActivityError as error:
            # Nobody can tell what a lost worker did: unknown, and so compensated.
            return lost_adjust(settlement, error, scheduled_at)

    async def _compensate(self, adjust: Outcome, reason: str) -> None:
        result = await self._cancel_until_consistent(self._begun(CancelKind.FIRST, reason))
        if result is not None and needs_confirming(self._settlement.policy, adjust, result):
            # Begun before the wait: what is known of it then reaches the ledger before it is ever sent.
            confirm_after_s = self._settlement.policy.confirm_after_s
            confirming = self._begun(CancelKind.CONFIRMING, f"confirming after {result}", confirm_after_s)
            left_s = confirming.request_time_ms / 1000 - workflow.now().timestamp()
            if left_s > 0:
                await workflow.sleep(left_s, summary="quarantine before a second look")
            result = await self._cancel_until_consistent(confirming)
        if result is not None:
            self._saga.enter(State.CANCELLED, f"consistent again: {result}", cancel_result=result)

    def _begun(self, kind: CancelKind, reason: str, in_s: float = 0) -> CancelIntent:
        """Return the cancel of a kind as it was begun; begin it, to be sent in so many seconds, if it was not."""
        act = self._saga.cancel_intent(kind)
        if act is None:
            act = cancel_intent(kind, reason, _epoch_ms(workflow.now() + timedelta(seconds=in_s)))
            self._saga.begin(act)
        return act

    async def _cancel_until_consistent(self, act: CancelIntent) -> CancelResult | None:
        """Send one cancel, in as many rounds as operators ask for; None: an operator resolved it by hand.

        One that was answered to a lost predecessor is not sent again.
        """
        if (known := self._saga.snapshot.cancel_result_of(act.kind)) is not None:
            return known
        while True:
            if self._saga.state is State.ABORTED and await self._operator_actions() is State.RESOLVED:
                return None
            task, scheduled_at = cancel_task(self._settlement, act, self._saga.round), workflow.now()
            try:
                report = await self._cancel_round(task)
            except ActivityError as error:
                attempts_max = self._settlement.policy.cancel_max_attempts
                calls = calls_of_failed_cancel(error, task, attempts_max, scheduled_at)
                self._saga.enter(State.ABORTED, f"{act.kind} cancel adjust ran out of attempts", calls=calls)
            else:
                self._saga.learn(report.calls, f"{act.kind} cancel adjust answered {report.result}")
                return report.result

    async def _operator_actions(self) -> State:
        """Wait, for as long as it takes, until an operator leads out of ABORTED; return where to.

        Each round of cancels comes by here, so that a history never grows by more than one round beyond its limit.
        """
        if history_is_long():
            start = accepted_input(self._settlement)
            workflow.continue_as_new(SettlementStart(**dict(start), carried=self._journal.carry()))
        await workflow.wait_condition(lambda: self._saga.state is not State.ABORTED)
        # A round that an operator asks for may wait for the ledger: those of automation are few, and never do.
        await workflow.wait_condition(lambda: self._saga.state is State.RESOLVED or self._journal.has_room())
        return self._saga.state

    async def _cancel_round(self, task: CancelTask) -> CancelReport:
        confirming = ", confirming" if task.kind is CancelKind.CONFIRMING else ""
        again = f", round {task.round + 1}" if task.round else ""
        return await workflow.execute_activity_method(
            CancelAdjust.cancel_adjust,
            task,
            task_queue=CANCEL_TASK_QUEUE,
            start_to_close_timeout=CANCEL_START_TO_CLOSE,
            retry_policy=cancel_retry(self._settlement.policy),
            summary=f"cancel adjust {money(self._settlement)}{confirming}{again}",
            priority=fairness(self._settlement.company_id),
        )

    def _on_workflow_cancellation(self) -> None:
        """Turn Temporal's request to stop into the safest thing left to do (design, step 8)."""
        reason = (workflow.cancellation_reason() or "workflow cancellation")[:NOTE_LENGTH_MAX]
        request = OperatorRequest(operator="temporal", note=reason)
        if self._saga.state is State.ADJUSTING:
            self._stop_requested = True
            self._saga.act(ActionKind.WORKFLOW_CANCELLATION, request)
        elif self._saga.state is State.ABORTED:
            self._retry(ActionKind.WORKFLOW_CANCELLATION, request)

    @workflow.update
    async def decision(self) -> Snapshot:
        """Return the snapshot of the decision as soon as there is one; repeating it returns the same decision."""
        await workflow.wait_condition(lambda: self._saga.snapshot.decision is not None)
        return self._saga.decided

    @workflow.update(description=RETRY_DESCRIPTION)
    def retry_cancel_adjust(self, request: OperatorRequest = NOTHING_FILLED_IN) -> UpdateResult:
        """Take an ABORTED settlement back to CANCELLING. Refused in any other state."""
        self._retry(ActionKind.RETRY_CANCEL_ADJUST, request)
        return self._saga.update_result()

    @workflow.update(description=RESOLVE_DESCRIPTION)
    def resolve(self, request: OperatorRequest = NOTHING_FILLED_IN) -> UpdateResult:
        """Close an ABORTED settlement with reason and evidence. Refused in any other state."""
        self._saga.act(ActionKind.RESOLVE, request)
        self._saga.enter(State.RESOLVED, "resolved by hand; the acts say by whom and on what evidence")
        return self._saga.update_result()

    @retry_cancel_adjust.validator
    def _may_retry(self, request: OperatorRequest = NOTHING_FILLED_IN) -> None:
        self._must_be_aborted("retry_cancel_adjust")
        must_hold(RetryRules, request)

    @resolve.validator
    def _may_resolve(self, request: OperatorRequest = NOTHING_FILLED_IN) -> None:
        self._must_be_aborted("resolve")
        must_hold(ResolveRules, request)

    @workflow.query(description="What this settlement knows; of a long audit the newest entries")
    def snapshot(self) -> Snapshot:
        """Return the newest snapshot, without those entries of a long audit that only the ledger still has."""
        return self._saga.snapshot

    def _retry(self, kind: ActionKind, request: OperatorRequest) -> None:
        self._saga.round += 1
        self._saga.act(kind, request)
        self._saga.enter(State.CANCELLING, "cancel adjust retried; the acts say by whom and why")

    def _must_be_aborted(self, update: str) -> None:
        if self._saga.state is not State.ABORTED:
            message = f"{update} needs state ABORTED; this settlement is {self._saga.state}"
            raise ApplicationError(message, type="WRONG_STATE")


def _epoch_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
