"""One round of one cancel: its attempts, and the wait while its external system is not configured."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.cancel_adjust import CancelAdjust
from settlement.calls import CallRecord
from settlement.external_systems import waiting_reason
from settlement.ids import CancelKind
from settlement.limits import CANCEL_START_TO_CLOSE, SYSTEM_WAIT_FIRST_S, SYSTEM_WAIT_MAX_S
from settlement.snapshot import CancelIntent
from settlement.start import SettlementStart, accepted_input
from settlement.states import CancelResult, State
from settlement.tasks import SYSTEM_NOT_CONFIGURED, CancelReport, CancelTask
from settlement.unreported_calls import CALL_RECORDS
from workflows.compensation import cancel_retry
from workflows.journal import Journal
from workflows.lost_calls import calls_of_failed_cancel
from workflows.runtime import CANCEL_TASK_QUEUE, fairness, history_is_long
from workflows.saga_state import SagaState
from workflows.visibility import money


class CancelRounds:
    """Sends the cancels of one settlement, one round at a time."""

    def __init__(self, settlement: SettlementStart, saga: SagaState, journal: Journal) -> None:
        self._order = accepted_input(settlement)
        self._saga = saga
        self._journal = journal
        self._attempts_made = settlement.carried.attempts_made if settlement.carried else 0
        """Attempts of the current round that earlier activities made."""

    async def send(self, intent: CancelIntent) -> CancelResult | None:
        """Send one cancel until it has a result, and return it; None if the attempts are used up: ABORTED.

        While the external system is not configured, the round waits and uses up no attempt. That has no time limit:
        reconciliation reports it, and an operator must correct the configuration.
        """
        waits = 0
        while True:
            task = CancelTask(
                settlement=self._order, intent=intent, round=self._saga.round, attempts_made=self._attempts_made
            )
            scheduled_at = workflow.now()
            try:
                report = await self._cancel_round(task)
            except ActivityError as error:
                earlier = _calls_before_the_wait(error)
                if earlier is None:
                    attempts_max = self._order.policy.cancel_max_attempts - task.attempts_made
                    calls = calls_of_failed_cancel(error, task, attempts_max, scheduled_at)
                    self._attempts_made = 0
                    self._saga.enter(State.ABORTED, f"{intent.kind} cancel adjust ran out of attempts", calls=calls)
                    return None
                await self._wait_for_system(earlier, waits)
                waits += 1
            else:
                self._attempts_made = 0
                self._saga.record_calls(report.calls, f"{intent.kind} cancel adjust answered {report.result}")
                return report.result

    async def _cancel_round(self, task: CancelTask) -> CancelReport:
        confirming = ", confirming" if task.intent.kind is CancelKind.CONFIRMING else ""
        round_ = f", round {task.round + 1}" if task.round else ""
        return await workflow.execute_activity_method(
            CancelAdjust.cancel_adjust,
            task,
            task_queue=CANCEL_TASK_QUEUE,
            start_to_close_timeout=CANCEL_START_TO_CLOSE,
            retry_policy=cancel_retry(self._order.policy, task.attempts_made),
            summary=f"cancel adjust {money(self._order)}{confirming}{round_}",
            priority=fairness(self._order.company_id),
        )

    async def _wait_for_system(self, earlier: tuple[CallRecord, ...], waits: int) -> None:
        self._attempts_made += len(earlier)
        reason = waiting_reason(self._order.system)
        if earlier or reason != self._saga.snapshot.reason:
            self._saga.record_calls(earlier, reason)
            self._saga.show()
        if history_is_long():
            carried = self._journal.carry().model_copy(update={"attempts_made": self._attempts_made})
            workflow.continue_as_new(SettlementStart(**dict(self._order), carried=carried))
        wait_s = min(SYSTEM_WAIT_FIRST_S * 2 ** min(waits, 10), SYSTEM_WAIT_MAX_S)
        await workflow.sleep(timedelta(seconds=wait_s), summary="until the external system is configured")


def _calls_before_the_wait(error: ActivityError) -> tuple[CallRecord, ...] | None:
    """Return the attempts that were made before the configuration was found to lack the external system.

    None if the activity failed for another reason.
    """
    cause = error.cause
    if not isinstance(cause, ApplicationError) or cause.type != SYSTEM_NOT_CONFIGURED:
        return None
    return CALL_RECORDS.validate_python(cause.details[0])
