"""The activity of the compensation: it sends cancel adjust, and fails for a retry unless the reply is correct."""

import time
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.call_admission import CallAdmission
from activities.metrics import observe_call
from connector import DEADLINES, CallHeaders, ExternalSystem, SystemsByName
from connector.classify import cancel_result
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.operations import CancelOperation, Operation
from settlement.calls import CallRecord, Rule, Verdict
from settlement.external_systems import waiting_reason
from settlement.policy import SettlementPolicy, attempts_of_round, retry_wait_s
from settlement.states import Outcome
from settlement.tasks import CANCEL_IN_PROCESS, CANCEL_REFUSED, SYSTEM_NOT_CALLABLE, CancelReport, CancelTask
from settlement.unreported_calls import CALL_RECORDS, IN_FLIGHT, with_unreported

log = structlog.get_logger()


class IncorrectCancelReplyError(ApplicationError):
    """A cancel got no correct reply. Temporal retries it; until then the money is in doubt."""

    def __init__(self, calls: tuple[CallRecord, ...], retry_in: timedelta | None = None) -> None:
        super().__init__(
            _in_words(calls),
            calls,
            type="IncorrectCancelReply",
            next_retry_delay=retry_in,
            category=ApplicationErrorCategory.BENIGN,
        )


class CancelInProcessError(ApplicationError):
    """The broker still processes the cancel. The workflow waits and sends it again; until then the money is in doubt.

    Temporal does not retry it, because a retry would use up an attempt.
    """

    def __init__(self, calls: tuple[CallRecord, ...]) -> None:
        super().__init__(
            _in_words(calls),
            calls,
            type=CANCEL_IN_PROCESS,
            non_retryable=True,
            category=ApplicationErrorCategory.BENIGN,
        )


class CancelRefusedError(ApplicationError):
    """The broker refuses the cancel for good, so it is not sent again. The money is in doubt until an operator acts."""

    def __init__(self, calls: tuple[CallRecord, ...]) -> None:
        super().__init__(
            _in_words(calls), calls, type=CANCEL_REFUSED, non_retryable=True, category=ApplicationErrorCategory.BENIGN
        )


class SystemNotCallableError(ApplicationError):
    """The external system cannot be called now, so nothing was sent; the rule says why.

    Temporal does not retry it, because a retry would use up an attempt. The workflow waits and then tries again; until
    then the money is in doubt.
    """

    def __init__(self, name: str, rule: Rule, earlier: tuple[CallRecord, ...]) -> None:
        super().__init__(
            f"cancel adjust was not sent; {waiting_reason(name, rule)}",
            earlier,
            rule,
            type=SYSTEM_NOT_CALLABLE,
            non_retryable=True,
            category=ApplicationErrorCategory.BENIGN,
        )


class CancelAdjust:
    """The activity `cancel_adjust`, with its connector to the external systems and the admission of their calls."""

    def __init__(self, systems: SystemsByName, admission: CallAdmission) -> None:
        self._systems = systems
        self._admission = admission

    @activity.defn(name="cancel_adjust")
    async def cancel_adjust(self, task: CancelTask) -> CancelReport:
        """Send one cancel and return the result of its correct reply (docs/contract.md#table-2).

        Repeating it is safe: every attempt sends the same body with the same requestUniqueNo. The heartbeat carries
        the records of all attempts so far, because the next attempt can read nothing else of a failed attempt.

        Raises:
            IncorrectCancelReplyError: no correct reply. The external system may still hold the money; Temporal retries,
                not before the `Retry-After` of the reply within the bound of the policy.
            CancelInProcessError: the broker still processes it; no attempt is used up.
            CancelRefusedError: the broker refuses it for good.
            SystemNotCallableError: nothing was sent, and no attempt is used up.
        """
        system = await self._systems.named(task.settlement.system)
        # Without a system, no operation is known; an unreported attempt then counts as CANCEL_ADJUST.
        operation = system.cancel_operation if system is not None else Operation.CANCEL_ADJUST
        earlier = _earlier_attempts(task, operation)
        if system is None:
            raise SystemNotCallableError(task.settlement.system, Rule.NOT_CONFIGURED, earlier)
        record = _in_flight(task, operation)
        async with self._admission.of(task.settlement.system).call(is_cancel=True) as call:
            if call.refusal is not None:
                raise SystemNotCallableError(task.settlement.system, call.refusal.rule, earlier)
            # Sent before the call, so that the audit has this attempt even if the worker is killed during the call.
            activity.heartbeat((*earlier, record))
            started = time.monotonic()
            verdict = _within_bounds(task, call.ended(await _send(system, task)))
        if verdict.rule is Rule.NOT_CONFIGURED:
            raise SystemNotCallableError(task.settlement.system, verdict.rule, earlier)
        result = cancel_result(verdict)
        duration_ms = round((time.monotonic() - started) * 1000)
        record = record.model_copy(update={"duration_ms": duration_ms, "verdict": verdict, "cancel_result": result})
        observe_call(record)
        _log(task, record)
        calls = (*earlier, record)
        if result is None:
            activity.heartbeat(calls)
            raise _failure(task, calls)
        return CancelReport(result=result, calls=calls)


def _failure(task: CancelTask, calls: tuple[CallRecord, ...]) -> ApplicationError:
    """Return the failure of an attempt that did not settle the cancel."""
    last = calls[-1]
    match last.verdict.rule:
        case Rule.CODE_MEANS_IN_PROCESS:
            return CancelInProcessError(calls)
        case Rule.CODE_MEANS_REFUSED:
            return CancelRefusedError(calls)
    return IncorrectCancelReplyError(calls, _longer_wait(task.settlement.policy, last))


def _longer_wait(policy: SettlementPolicy, last: CallRecord) -> timedelta | None:
    """Return the wait for which the reply asks, if it is longer than the backoff; None for the backoff."""
    if last.attempt >= attempts_of_round(policy):
        return None
    backoff_s = retry_wait_s(policy, last.attempt, None)
    wait_s = retry_wait_s(policy, last.attempt, last.verdict.retry_after_s)
    return timedelta(seconds=wait_s) if wait_s > backoff_s else None


def _within_bounds(task: CancelTask, verdict: Verdict) -> Verdict:
    """Return the verdict on a reply "still in process", which uses an attempt if there were too many before."""
    if verdict.rule is not Rule.CODE_MEANS_IN_PROCESS or task.in_process < task.settlement.policy.cancel_in_process_max:
        return verdict
    return verdict.model_copy(update={"rule": Rule.IN_PROCESS_TOO_LONG})


def _in_words(calls: tuple[CallRecord, ...]) -> str:
    """Describe the last call for the Temporal UI, without text from the reply. The reply is in the records."""
    verdict = calls[-1].verdict
    return f"cancel adjust {verdict.outcome} ({verdict.rule})"


async def _send(system: ExternalSystem, task: CancelTask) -> Verdict:
    headers = CallHeaders(task.settlement.trace, task.settlement.company_id)
    try:
        return await system.cancel_adjust(_body(task, system.cancel_operation), headers, DEADLINES)
    except Exception as error:
        # The connector never raises for a reply, so this is our bug. It counts as an attempt and is in the audit.
        log.exception("cancel adjust failed", settlement=str(task.settlement.settlement_id))
        return Verdict(outcome=Outcome.UNKNOWN, rule=Rule.WORKER_LOST, detail=type(error).__name__)


def _in_flight(task: CancelTask, operation: Operation) -> CallRecord:
    return CallRecord(
        operation=operation,
        kind=task.intent.kind,
        request_unique_no=task.request_unique_no,
        round=task.round,
        attempt=task.attempts_made + activity.info().attempt,
        sent_at=datetime.now(UTC),
        verdict=IN_FLIGHT,
    )


def _earlier_attempts(task: CancelTask, operation: Operation) -> tuple[CallRecord, ...]:
    info = activity.info()
    reported = CALL_RECORDS.validate_python(info.heartbeat_details[0]) if info.heartbeat_details else ()
    return with_unreported(reported, task, info.attempt - 1, operation, info.scheduled_time)


def _body(task: CancelTask, operation: CancelOperation) -> CancelAdjustBody | CancelOperationBody:
    body_type = CancelOperationBody if operation is Operation.CANCEL_OPERATION else CancelAdjustBody
    return body_type.undoing(
        task.settlement.adjust,
        number=task.request_unique_no,
        request_time_ms=task.intent.request_time_ms,
        remark=task.intent.remark,
    )


def _log(task: CancelTask, record: CallRecord) -> None:
    log.info(
        "cancel adjust",
        settlement=str(task.settlement.settlement_id),
        trace=task.settlement.trace,
        system=task.settlement.system,
        kind=task.intent.kind,
        number=task.request_unique_no,
        round=task.round,
        attempt=record.attempt,
        outcome=record.verdict.outcome,
        rule=record.verdict.rule,
        cancel_result=record.cancel_result,
        duration_ms=record.duration_ms,
    )
