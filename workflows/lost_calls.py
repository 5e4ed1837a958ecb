"""Audit records of calls that no activity reported, because the activity failed or the workflow was lost."""

from datetime import datetime

from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from contract.operations import Operation
from settlement.calls import CallRecord, Rule, Verdict
from settlement.round_position import round_position
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import Outcome, State
from settlement.tasks import CancelTask
from settlement.unreported_calls import CALL_RECORDS, with_unreported
from workflows.compensation import attempts_possible

LOST_WITH_ITS_WORKFLOW = Verdict(
    outcome=Outcome.UNKNOWN, rule=Rule.WORKER_LOST, detail="may have been sent before its workflow was lost"
)
"""Verdict of a cancel that a lost workflow had time to send. Nobody reported whether it was sent."""


def lost_adjust(settlement: SettlementInput, error: ActivityError, scheduled_at: datetime) -> CallRecord:
    """Return the record of an adjust whose activity failed: UNKNOWN, or NOT_SENT if no worker ever had the task.

    Only a schedule-to-start timeout proves that no worker had it.
    """
    never_started = isinstance(error.cause, ActivityTimeoutError) and error.cause.type is TimeoutType.SCHEDULE_TO_START
    if never_started:
        detail = "no worker took it up before the order expired"
        return _adjust_record(settlement, Outcome.NOT_SENT, Rule.TOO_LATE, detail, scheduled_at)
    return unreported_adjust(settlement, "the worker did not report what came back", scheduled_at)


def unreported_adjust(settlement: SettlementInput, detail: str, sent_at: datetime) -> CallRecord:
    """Return the record of an adjust that nobody reported: UNKNOWN."""
    return _adjust_record(settlement, Outcome.UNKNOWN, Rule.WORKER_LOST, detail, sent_at)


def _adjust_record(
    settlement: SettlementInput, outcome: Outcome, rule: Rule, detail: str, sent_at: datetime
) -> CallRecord:
    return CallRecord(
        operation=Operation.ADJUST,
        request_unique_no=settlement.adjust.requestUniqueNo,
        sent_at=sent_at,
        verdict=Verdict(outcome=outcome, rule=rule, detail=detail),
    )


def calls_of_failed_cancel(
    error: ActivityError, task: CancelTask, attempts_max: int, scheduled_at: datetime
) -> tuple[CallRecord, ...]:
    """Return one record for each attempt of an activity that used up its `attempts_max` attempts.

    The failure of the last attempt carries the records of all attempts. If its worker was lost, its last heartbeat
    does; an attempt that is in neither is added as UNKNOWN, with the operation of the reported attempts (CANCEL_ADJUST
    if there is none).
    """
    reported = reported_calls(error)
    # If an operator ended the activity by hand, the number of attempts is not known. There was at least one.
    made = attempts_max if attempts_are_used_up(error) else 1
    return with_unreported(reported, task, made, _cancel_operation(reported), scheduled_at)


def failure_type(error: ActivityError) -> str | None:
    """Return the type of the failure that the activity reported; None if it reported none."""
    return error.cause.type if isinstance(error.cause, ApplicationError) else None


def why_not_callable(error: ActivityError) -> Rule:
    """Return the rule by which a cancel was not sent, from a failure of the type `SYSTEM_NOT_CALLABLE`."""
    if not isinstance(error.cause, ApplicationError):
        message = "only a failure that the activity reported has a rule"
        raise TypeError(message)
    return Rule(error.cause.details[1])


def attempts_are_used_up(error: ActivityError) -> bool:
    """Return whether the activity used up its attempts. Otherwise an operator ended it by hand."""
    return error.retry_state is RetryState.MAXIMUM_ATTEMPTS_REACHED


def reported_calls(error: ActivityError) -> tuple[CallRecord, ...]:
    """Return the records that a failed activity `cancel_adjust` reported, in its failure or its last heartbeat."""
    cause = error.cause
    details = (
        cause.details
        if isinstance(cause, ApplicationError)
        else cause.last_heartbeat_details
        if isinstance(cause, ActivityTimeoutError)
        else ()
    )
    return CALL_RECORDS.validate_python(details[0]) if details else ()


def calls_of_lost_round(
    settlement: SettlementInput, known: Snapshot, round_: int, lost_at: datetime
) -> tuple[CallRecord, ...]:
    """Return one record for each cancel that a workflow lost at `lost_at` can have sent beyond its last snapshot.

    A band reports its attempts when it ends or waits. If it was cut short, only the largest possible number of attempts
    is known. The audit must not contain fewer calls than the external system received, so each of them gets a record.
    """
    if known.state is not State.CANCELLING or not known.cancel_intents:
        return ()
    intent = known.cancel_intents[-1]
    # The snapshot does not change while a band runs, so its next call was due at a time that the last change fixed.
    made, due_at = round_position(settlement, known)
    attempts = attempts_possible(settlement.policy, lost_at - due_at, made)
    task = CancelTask(settlement=settlement, intent=intent, round=round_, attempts_made=made)
    calls = with_unreported((), task, attempts, _cancel_operation(known.calls), due_at)
    return tuple(call.model_copy(update={"verdict": LOST_WITH_ITS_WORKFLOW}) for call in calls)


def _cancel_operation(calls: tuple[CallRecord, ...]) -> Operation:
    return next((call.operation for call in reversed(calls) if call.kind), Operation.CANCEL_ADJUST)
