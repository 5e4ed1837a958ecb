"""What the audit keeps of calls that nobody returned a record of: the activity failed, or the workflow was lost."""

from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

with workflow.unsafe.imports_passed_through():
    from contract.operations import Operation
    from settlement.calls import CallRecord, Rule, Verdict
    from settlement.snapshot import Snapshot
    from settlement.start import SettlementInput
    from settlement.states import Outcome, State
    from settlement.tasks import CancelTask
    from settlement.unreported_calls import CALLS, with_unreported

from workflows.compensation import attempts_begun, cancel_task

LOST_WITH_ITS_WORKFLOW = Verdict(
    outcome=Outcome.UNKNOWN, rule=Rule.WORKER_LOST, detail="may have been sent before its workflow was lost"
)
"""What a cancel says that a lost workflow had time to send; whether it did, nobody reported."""


def lost_adjust(settlement: SettlementInput, error: ActivityError, scheduled_at: datetime) -> CallRecord:
    """Return the record of an adjust whose worker did not report: unknown, unless it certainly never started.

    A schedule-to-start timeout is the one failure after which no worker ever had the task.
    """
    never_started = isinstance(error.cause, ActivityTimeoutError) and error.cause.type is TimeoutType.SCHEDULE_TO_START
    if never_started:
        detail = "no worker took it up before the order expired"
        return _adjust_record(settlement, Outcome.NOT_SENT, Rule.TOO_LATE, detail, scheduled_at)
    return unreported_adjust(settlement, "the worker did not report what came back", scheduled_at)


def unreported_adjust(settlement: SettlementInput, detail: str, sent_at: datetime) -> CallRecord:
    """Return the record of an adjust of which nobody reported anything: unknown."""
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
    """Return the record of every attempt of a cancel that ran out of them.

    The last attempt's failure carries them all; if its worker was lost, its last heartbeat does, and what was
    lost with that heartbeat is added as unknown. (Such an attempt bears the operation of those that were heard
    of; where there is none, CANCEL_ADJUST.)
    """
    cause = error.cause
    details = (
        cause.details
        if isinstance(cause, ApplicationError)
        else cause.last_heartbeat_details
        if isinstance(cause, ActivityTimeoutError)
        else ()
    )
    heard = CALLS.validate_python(details[0]) if details else ()
    # Ended by hand, from the UI or the command line, nobody knows how many there were; but there was one.
    made = attempts_max if error.retry_state is RetryState.MAXIMUM_ATTEMPTS_REACHED else 1
    return with_unreported(heard, task, made, _how_cancelled(heard), scheduled_at)


def calls_of_lost_round(
    settlement: SettlementInput, known: Snapshot, round_: int, lost_at: datetime
) -> tuple[CallRecord, ...]:
    """Return the record of every cancel that a workflow lost at that moment can have sent beyond what it knew.

    A round tells of its attempts when it ends. None of one that was cut short is known, only how many of them
    there was time for; the audit must not know of fewer calls than the external system.
    """
    if known.state is not State.CANCELLING or not known.cancel_intents:
        return ()
    act = known.cancel_intents[-1]
    # While a round is under way nothing changes, so it began at the last change, or when its cancel was due.
    began_at = max(known.updated_at, act.due_at)
    attempts = attempts_begun(settlement.policy, lost_at - began_at)
    calls = with_unreported((), cancel_task(settlement, act, round_), attempts, _how_cancelled(known.calls), began_at)
    return tuple(call.model_copy(update={"verdict": LOST_WITH_ITS_WORKFLOW}) for call in calls)


def _how_cancelled(calls: tuple[CallRecord, ...]) -> Operation:
    return next((call.operation for call in reversed(calls) if call.kind), Operation.CANCEL_ADJUST)
