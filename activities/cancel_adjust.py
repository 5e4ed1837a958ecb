"""The activity of the compensation: it sends cancel adjust, and fails for a retry unless the reply is correct."""

import time
from datetime import UTC, datetime

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
from settlement.states import Outcome
from settlement.tasks import SYSTEM_NOT_CALLABLE, CancelReport, CancelTask
from settlement.unreported_calls import CALL_RECORDS, IN_FLIGHT, with_unreported

log = structlog.get_logger()


class IncorrectCancelReplyError(ApplicationError):
    """A cancel got no correct reply. Temporal retries it; until then the money is in doubt."""

    def __init__(self, calls: tuple[CallRecord, ...]) -> None:
        verdict = calls[-1].verdict
        super().__init__(
            # Shown in the Temporal UI, so it contains no text from the reply. The reply is in the records.
            f"cancel adjust {verdict.outcome} ({verdict.rule})",
            calls,
            type="IncorrectCancelReply",
            category=ApplicationErrorCategory.BENIGN,
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
            IncorrectCancelReplyError: no correct reply. The external system may still hold the money; Temporal retries.
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
            verdict = call.ended(await _send(system, task))
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
            raise IncorrectCancelReplyError(calls)
        return CancelReport(result=result, calls=calls)


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
