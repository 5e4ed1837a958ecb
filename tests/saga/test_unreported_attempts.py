"""An attempt whose worker was lost before its heartbeat arrived may have been sent, so the audit contains it."""

from datetime import UTC, datetime

import pytest
from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from contract.operations import Operation
from settlement.calls import CallRecord, Rule
from settlement.ids import CancelKind
from settlement.states import Outcome
from settlement.tasks import CancelTask
from settlement.unreported_calls import CALL_RECORDS, with_unreported
from tests.support.orders import QUICK_POLICY, settlement
from tests.support.story_acts import ATTEMPTS, FAILED
from workflows.compensation import cancel_intent
from workflows.lost_calls import calls_of_failed_cancel

AT = datetime(2026, 1, 5, tzinfo=UTC)
TASK = CancelTask(settlement=settlement(), intent=cancel_intent(CancelKind.FIRST, "why", 1), round=2)


def attempt(number: int, operation: Operation = Operation.CANCEL_OPERATION) -> CallRecord:
    return CallRecord(
        operation=operation,
        kind=TASK.intent.kind,
        request_unique_no=TASK.request_unique_no,
        round=TASK.round,
        attempt=number,
        sent_at=AT,
        verdict=FAILED,
    )


def failed(cause: BaseException, retry_state: RetryState = RetryState.MAXIMUM_ATTEMPTS_REACHED) -> ActivityError:
    error = ActivityError(
        "failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="tests",
        activity_type="cancel_adjust",
        activity_id="1",
        retry_state=retry_state,
    )
    error.__cause__ = cause
    return error


def lost(*heard: CallRecord) -> ActivityTimeoutError:
    details = [CALL_RECORDS.dump_python(heard, mode="json")] if heard else []
    return ActivityTimeoutError("lost", type=TimeoutType.START_TO_CLOSE, last_heartbeat_details=details)


@pytest.mark.parametrize("heard", range(ATTEMPTS + 1))
def test_an_exhausted_round_has_all_its_attempts_in_the_audit(heard: int) -> None:
    error = failed(lost(*(attempt(number) for number in range(1, heard + 1))))
    calls = calls_of_failed_cancel(error, TASK, QUICK_POLICY.cancel_max_attempts, AT)
    assert [call.attempt for call in calls] == list(range(1, ATTEMPTS + 1))
    assert {(call.request_unique_no, call.kind, call.round) for call in calls} == {
        (TASK.request_unique_no, TASK.intent.kind, TASK.round)
    }
    assert [call.verdict.rule for call in calls] == [FAILED.rule] * heard + [Rule.WORKER_LOST] * (ATTEMPTS - heard)
    assert {call.verdict.outcome for call in calls} == {Outcome.UNKNOWN}


def test_an_unreported_attempt_has_the_operation_of_the_others() -> None:
    calls = calls_of_failed_cancel(failed(lost(attempt(1))), TASK, ATTEMPTS, AT)
    assert {call.operation for call in calls} == {Operation.CANCEL_OPERATION}


def test_a_complete_failure_gets_no_added_attempts() -> None:
    carried = tuple(attempt(number) for number in range(1, ATTEMPTS + 1))
    failure = ApplicationError("no correct reply", CALL_RECORDS.dump_python(carried, mode="json"))
    assert calls_of_failed_cancel(failed(failure), TASK, ATTEMPTS, AT) == carried


def test_a_round_ended_by_hand_counts_as_one_attempt() -> None:
    error = failed(ApplicationError("by hand"), RetryState.NON_RETRYABLE_FAILURE)
    (call,) = calls_of_failed_cancel(error, TASK, ATTEMPTS, AT)
    assert (call.attempt, call.verdict.rule, call.sent_at) == (1, Rule.WORKER_LOST, AT)


def test_an_attempt_in_the_middle_is_added_once() -> None:
    heard = (attempt(2),)
    filled = with_unreported(heard, TASK, 2, Operation.CANCEL_ADJUST, AT)
    assert sorted(call.attempt for call in filled) == [1, 2]
    assert with_unreported(filled, TASK, 2, Operation.CANCEL_ADJUST, AT) == filled
