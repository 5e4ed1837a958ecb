"""The activity that sends the adjust: it changes the customer's credit at the external system."""

import time
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity

from activities.bulkhead import Bulkhead
from activities.call_admission import CallAdmission
from activities.metrics import observe_call
from connector import DEADLINES, CallHeaders, SystemsByName
from contract.operations import Operation
from settlement.calls import CallRecord, Rule, Verdict
from settlement.limits import PICKUP_DELAY_MAX_S
from settlement.states import Outcome
from settlement.tasks import AdjustTask

log = structlog.get_logger()


class Adjust:
    """The activity `adjust`, with its connector to the external systems, their admission, and its bulkhead."""

    def __init__(self, systems: SystemsByName, bulkhead: Bulkhead, admission: CallAdmission) -> None:
        self._systems = systems
        self._bulkhead = bulkhead
        self._admission = admission

    @activity.defn(name="adjust")
    async def adjust(self, task: AdjustTask) -> CallRecord:
        """Send one adjust and return its record (docs/contract.md#rule-1, docs/contract.md#table-1).

        Must have exactly one attempt: a second attempt would send a second adjust, and its reply would hide the first.
        Returns a record for every outcome. UNKNOWN means that money may have moved. If the worker is lost or shuts
        down, the activity fails, and the outcome is also UNKNOWN.
        """
        sent_at = datetime.now(UTC)
        started = time.monotonic()
        verdict = _too_late(task, sent_at) or await self._send(task)
        record = CallRecord(
            operation=Operation.ADJUST,
            request_unique_no=task.adjust.requestUniqueNo,
            sent_at=sent_at,
            duration_ms=round((time.monotonic() - started) * 1000),
            verdict=verdict,
        )
        observe_call(record)
        log.info(
            "adjust",
            settlement=str(task.settlement_id),
            trace=task.trace,
            system=task.system,
            outcome=verdict.outcome,
            rule=verdict.rule,
            duration_ms=record.duration_ms,
        )
        return record

    async def _send(self, task: AdjustTask) -> Verdict:
        system = await self._systems.named(task.system)
        if system is None:
            detail = f"no external system {task.system} is configured"
            return Verdict(outcome=Outcome.NOT_SENT, rule=Rule.NOT_CONFIGURED, detail=detail)
        async with self._admission.of(task.system).call(is_cancel=False) as call:
            if call.refusal is not None:
                return call.refusal
            with self._bulkhead.slot(task.company_id) as has_slot:
                if not has_slot:
                    limit = self._bulkhead.limit(task.company_id)
                    detail = f"this worker already has {limit} or more adjusts of this company in flight"
                    return Verdict(outcome=Outcome.NOT_SENT, rule=Rule.BULKHEAD_FULL, detail=detail)
                headers = CallHeaders(task.trace, task.company_id)
                return call.ended(await system.adjust(task.adjust, headers, DEADLINES))


def _too_late(task: AdjustTask, now: datetime) -> Verdict | None:
    """Return the verdict NOT_SENT if the call could not complete in time, or the order has expired; else None.

    It compares this machine's clock with the server's, so both need NTP. A worker whose clock runs ahead by more than
    `PICKUP_DELAY_MAX_S` sends nothing: its orders are void, but no money is at risk.
    """
    pickup_delay = now - activity.info().started_time
    if pickup_delay > timedelta(seconds=PICKUP_DELAY_MAX_S):
        detail = f"picked up {pickup_delay.total_seconds():.1f} s late; the call could outlast the activity timeout"
    elif now >= task.expires_at:
        detail = "the order expired before it could be sent"
    else:
        return None
    return Verdict(outcome=Outcome.NOT_SENT, rule=Rule.TOO_LATE, detail=detail)
