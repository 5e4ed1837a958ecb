"""The forward call: adjust the customer's credit at the external system."""

import time
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity

from activities.bulkhead import Bulkhead
from activities.metrics import observe_call
from connector import DEADLINES, CallHeaders, ExternalSystem
from contract.operations import Operation
from settlement.calls import CallRecord, Rule, Verdict
from settlement.limits import PICKUP_DELAY_MAX_S
from settlement.start import SettlementInput
from settlement.states import Outcome

log = structlog.get_logger()


class Adjust:
    """Holds the external system that the activity calls, and how many of one company's calls it may."""

    def __init__(self, external_system: ExternalSystem, bulkhead: Bulkhead) -> None:
        self._external_system = external_system
        self._bulkhead = bulkhead

    @activity.defn(name="adjust")
    async def adjust(self, settlement: SettlementInput) -> CallRecord:
        """Send one adjust and report what it came to (contract, rule 1 and table 1).

        Must have exactly one attempt: a second one would be a second call, and its answer another's.
        Returns a record for every outcome; UNKNOWN in it means that money may have moved. Raises
        nothing of its own: only a lost worker or a shutdown is an exception, and then it is unknown.
        """
        sent_at = datetime.now(UTC)
        started = time.monotonic()
        verdict = _too_late(settlement, sent_at) or await self._send(settlement)
        record = CallRecord(
            operation=Operation.ADJUST,
            request_unique_no=settlement.adjust.requestUniqueNo,
            sent_at=sent_at,
            duration_ms=round((time.monotonic() - started) * 1000),
            verdict=verdict,
        )
        observe_call(record)
        log.info(
            "adjust",
            settlement=settlement.adjust.requestUniqueNo,
            trace=settlement.trace,
            outcome=verdict.outcome,
            rule=verdict.rule,
            duration_ms=record.duration_ms,
        )
        return record

    async def _send(self, settlement: SettlementInput) -> Verdict:
        with self._bulkhead.slot(settlement.company_id) as free:
            if not free:
                limit = self._bulkhead.limit(settlement.company_id)
                detail = f"{limit} or more adjusts of this company are in flight in this worker already"
                return Verdict(outcome=Outcome.NOT_SENT, rule=Rule.BULKHEAD_FULL, detail=detail)
            return await self._external_system.adjust(
                settlement.adjust, CallHeaders(settlement.trace, settlement.company_id), DEADLINES
            )


def _too_late(settlement: SettlementInput, now: datetime) -> Verdict | None:
    """Refuse to send what can no longer end in time; None: send it.

    Compares this machine's clock with the server's, so both must be kept by NTP; a worker whose clock
    runs ahead by more than the limit sends nothing, which voids orders but never loses money.
    """
    pickup_delay = now - activity.info().started_time
    if pickup_delay > timedelta(seconds=PICKUP_DELAY_MAX_S):
        detail = f"picked up {pickup_delay.total_seconds():.1f} s late; a call could outlive its backstop"
    elif now >= settlement.expires_at:
        detail = "the order expired before it could be sent"
    else:
        return None
    return Verdict(outcome=Outcome.NOT_SENT, rule=Rule.TOO_LATE, detail=detail)
