"""One round of one cancel: its attempts, and the wait while its external system cannot be called."""

from datetime import timedelta
from typing import NamedTuple

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.cancel_adjust import CancelAdjust
from settlement.calls import CallRecord, Rule
from settlement.external_systems import longest_wait_s, waiting_reason
from settlement.ids import CancelKind
from settlement.limits import CANCEL_START_TO_CLOSE
from settlement.snapshot import CancelIntent
from settlement.start import SettlementStart, accepted_input
from settlement.states import CancelResult, State
from settlement.tasks import SYSTEM_NOT_CALLABLE, CancelReport, CancelTask
from settlement.unreported_calls import CALL_RECORDS
from workflows.compensation import cancel_retry
from workflows.journal import Journal
from workflows.lost_calls import calls_of_failed_cancel
from workflows.runtime import CANCEL_TASK_QUEUE, fairness, history_is_long
from workflows.saga_state import SagaState
from workflows.visibility import money


class _Wait(NamedTuple):
    """The reason for a wait."""

    rule: Rule
    earlier: tuple[CallRecord, ...]
    """The attempts that the activity made before the external system could not be called."""


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

        While the external system cannot be called, the round waits and uses up no attempt. That has
        no time limit: `SettlementCancellingTooOld` fires, and if the configuration lacks it, reconciliation reports it.
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
                wait = _why_it_waits(error)
                if wait is None:
                    attempts_max = self._order.policy.cancel_max_attempts - task.attempts_made
                    calls = calls_of_failed_cancel(error, task, attempts_max, scheduled_at)
                    self._attempts_made = 0
                    self._saga.enter(State.ABORTED, f"{intent.kind} cancel adjust ran out of attempts", calls=calls)
                    return None
                await self._wait_for_system(wait, waits)
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

    async def _wait_for_system(self, wait: _Wait, waits: int) -> None:
        self._attempts_made += len(wait.earlier)
        reason = waiting_reason(self._order.system, wait.rule)
        if wait.earlier or reason != self._saga.snapshot.reason:
            self._saga.record_calls(wait.earlier, reason)
            self._saga.show()
        if history_is_long():
            carried = self._journal.carry().model_copy(update={"attempts_made": self._attempts_made})
            workflow.continue_as_new(SettlementStart(**dict(self._order), carried=carried))
        wait_s = longest_wait_s(wait.rule, waits) * workflow.random().uniform(0.5, 1)
        await workflow.sleep(timedelta(seconds=wait_s), summary="until the external system can be called")


def _why_it_waits(error: ActivityError) -> _Wait | None:
    """Return why the cancel waits; None if the activity failed for another reason."""
    cause = error.cause
    if not isinstance(cause, ApplicationError) or cause.type != SYSTEM_NOT_CALLABLE:
        return None
    earlier, rule = cause.details
    return _Wait(Rule(rule), CALL_RECORDS.validate_python(earlier))
