"""One round of one cancel: its two bands of attempts, and its waits.

A round waits before its sparse band, while the broker still processes the cancel, and while its external system cannot
be called. After each wait another activity sends what is left of the band.
"""

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.cancel_adjust import CancelAdjust
from settlement.calls import CallRecord, Rule
from settlement.external_systems import longest_wait_s, waiting_reason
from settlement.ids import CancelKind
from settlement.limits import CANCEL_START_TO_CLOSE
from settlement.policy import (
    attempts_left_in_band,
    attempts_of_round,
    in_process_wait_s,
    is_sparse,
    retry_wait_s,
)
from settlement.round_position import RoundPosition, in_process_reason, sparse_reason
from settlement.snapshot import CancelIntent
from settlement.start import SettlementStart, accepted_input
from settlement.states import CancelResult, State
from settlement.tasks import CANCEL_IN_PROCESS, CANCEL_REFUSED, SYSTEM_NOT_CALLABLE, CancelReport, CancelTask
from workflows.compensation import cancel_retry
from workflows.journal import Journal
from workflows.lost_calls import (
    attempts_are_used_up,
    calls_of_failed_cancel,
    failure_type,
    reported_calls,
    why_not_callable,
)
from workflows.runtime import CANCEL_TASK_QUEUE, fairness, history_is_long
from workflows.saga_state import SagaState
from workflows.visibility import money


class CancelRounds:
    """Sends the cancels of one settlement, one round at a time."""

    def __init__(self, settlement: SettlementStart, saga: SagaState, journal: Journal) -> None:
        self._order = accepted_input(settlement)
        self._saga = saga
        self._journal = journal
        carried = settlement.carried
        self._attempts_made = carried.attempts_made if carried else 0
        """Attempts of the current round that earlier activities made."""
        self._in_process = carried.in_process if carried else 0
        """Replies "still in process" of the current round that used no attempt."""
        self._system_waits = 0

    async def send(self, intent: CancelIntent) -> CancelResult | None:
        """Send one cancel until it has a result, and return it; None if the settlement has become ABORTED.

        That is when the attempts of both bands are used up, or at once if the broker refuses the cancel for good. The
        waits are bounded, except those for an external system that cannot be called: `SettlementCancellingTooOld`
        fires, and if the configuration lacks the system, reconciliation reports it.
        """
        self._system_waits = 0
        while True:
            task = CancelTask(
                settlement=self._order,
                intent=intent,
                round=self._saga.round,
                attempts_made=self._attempts_made,
                in_process=self._in_process,
            )
            scheduled_at = workflow.now()
            try:
                report = await self._cancel_round(task)
            except ActivityError as error:
                if not await self._continues_after(error, task, scheduled_at):
                    return None
            else:
                self._end_round()
                self._saga.record_calls(report.calls, f"{intent.kind} cancel adjust answered {report.result}")
                return report.result

    async def _continues_after(self, error: ActivityError, task: CancelTask, scheduled_at: datetime) -> bool:
        """Wait for what the failed activity makes the round wait for; return False if the settlement is ABORTED."""
        kind, failed = task.intent.kind, failure_type(error)
        if failed == SYSTEM_NOT_CALLABLE:
            await self._wait_for_system(why_not_callable(error), reported_calls(error))
            return True
        if failed == CANCEL_IN_PROCESS:
            await self._wait_in_process(kind, reported_calls(error))
            return True
        if failed == CANCEL_REFUSED:
            self._abort(f"{kind} cancel adjust refused for good by the broker", reported_calls(error))
            return False
        policy = self._order.policy
        left = attempts_left_in_band(policy, task.attempts_made)
        calls = calls_of_failed_cancel(error, task, left, scheduled_at)
        if attempts_are_used_up(error) and task.attempts_made + left < attempts_of_round(policy):
            await self._wait_for_sparse_band(kind, calls)
            return True
        self._abort(f"{kind} cancel adjust ran out of attempts", calls)
        return False

    async def _cancel_round(self, task: CancelTask) -> CancelReport:
        confirming = ", confirming" if task.intent.kind is CancelKind.CONFIRMING else ""
        round_ = f", round {task.round + 1}" if task.round else ""
        sparse = ", sparse band" if is_sparse(self._order.policy, task.attempts_made) else ""
        return await workflow.execute_activity_method(
            CancelAdjust.cancel_adjust,
            task,
            task_queue=CANCEL_TASK_QUEUE,
            start_to_close_timeout=CANCEL_START_TO_CLOSE,
            retry_policy=cancel_retry(self._order.policy, task.attempts_made),
            summary=f"cancel adjust {money(self._order)}{confirming}{round_}{sparse}",
            priority=fairness(self._order.company_id),
        )

    def _abort(self, reason: str, calls: tuple[CallRecord, ...]) -> None:
        self._end_round()
        self._saga.enter(State.ABORTED, reason, calls=calls)

    def _end_round(self) -> None:
        self._attempts_made = self._in_process = 0

    async def _wait_for_sparse_band(self, kind: CancelKind, calls: tuple[CallRecord, ...]) -> None:
        policy = self._order.policy
        self._attempts_made = policy.cancel_max_attempts
        wait_s = retry_wait_s(policy, self._attempts_made, calls[-1].verdict.retry_after_s)
        self._saga.record_calls(calls, sparse_reason(policy, kind, self._position(wait_s)))
        self._saga.show()
        await workflow.sleep(timedelta(seconds=wait_s), summary="until the sparse band of cancel attempts")

    async def _wait_in_process(self, kind: CancelKind, calls: tuple[CallRecord, ...]) -> None:
        policy = self._order.policy
        self._attempts_made += len(calls) - 1
        self._in_process += 1
        wait_s = in_process_wait_s(policy, self._in_process)
        reason = in_process_reason(policy, kind, self._position(wait_s), self._in_process)
        self._saga.record_calls(calls, reason)
        self._saga.show()
        await workflow.sleep(timedelta(seconds=wait_s), summary="until a cancel in process is asked for again")

    def _position(self, wait_s: float) -> RoundPosition:
        return RoundPosition(self._attempts_made, workflow.now() + timedelta(seconds=wait_s))

    async def _wait_for_system(self, rule: Rule, earlier: tuple[CallRecord, ...]) -> None:
        self._attempts_made += len(earlier)
        reason = waiting_reason(self._order.system, rule)
        if earlier or reason != self._saga.snapshot.reason:
            self._saga.record_calls(earlier, reason)
            self._saga.show()
        if history_is_long():
            counts = {"attempts_made": self._attempts_made, "in_process": self._in_process}
            carried = self._journal.carry().model_copy(update=counts)
            workflow.continue_as_new(SettlementStart(**dict(self._order), carried=carried))
        wait_s = longest_wait_s(rule, self._system_waits) * workflow.random().uniform(0.5, 1)
        self._system_waits += 1
        await workflow.sleep(timedelta(seconds=wait_s), summary="until the external system can be called")
