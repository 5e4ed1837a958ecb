"""The activity that sends the adjust: it changes the customer's credit at the external system."""

import time
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity

from activities.bulkhead import Bulkhead
from activities.metrics import observe_call
from connector import DEADLINES, CallHeaders, SystemsByName
from contract.operations import Operation
from settlement.calls import CallRecord, Rule, Verdict
from settlement.limits import PICKUP_DELAY_MAX_S
from settlement.start import SettlementInput
from settlement.states import Outcome

log = structlog.get_logger()


class Adjust:
    """The activity `adjust`, with its connector to the external systems and its bulkhead."""

    def __init__(self, systems: SystemsByName, bulkhead: Bulkhead) -> None:
        self._systems = systems
        self._bulkhead = bulkhead

    @activity.defn(name="adjust")
    async def adjust(self, settlement: SettlementInput) -> CallRecord:
        """Send one adjust and return its record (docs/contract.md#rule-1, docs/contract.md#table-1).

        Must have exactly one attempt: a second attempt would send a second adjust, and its reply would hide the first.
        Returns a record for every outcome. UNKNOWN means that money may have moved. If the worker is lost or shuts
        down, the activity fails, and the outcome is also UNKNOWN.
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
            settlement=str(settlement.settlement_id),
            trace=settlement.trace,
            system=settlement.system,
            outcome=verdict.outcome,
            rule=verdict.rule,
            duration_ms=record.duration_ms,
        )
        return record

    async def _send(self, settlement: SettlementInput) -> Verdict:
        system = await self._systems.named(settlement.system)
        if system is None:
            detail = f"no external system {settlement.system} is configured"
            return Verdict(outcome=Outcome.NOT_SENT, rule=Rule.NOT_CONFIGURED, detail=detail)
        with self._bulkhead.slot(settlement.company_id) as has_slot:
            if not has_slot:
                limit = self._bulkhead.limit(settlement.company_id)
                detail = f"this worker already has {limit} or more adjusts of this company in flight"
                return Verdict(outcome=Outcome.NOT_SENT, rule=Rule.BULKHEAD_FULL, detail=detail)
            headers = CallHeaders(settlement.trace, settlement.company_id)
            return await system.adjust(settlement.adjust, headers, DEADLINES)


def _too_late(settlement: SettlementInput, now: datetime) -> Verdict | None:
    """Return the verdict NOT_SENT if the call could not complete in time, or the order has expired; else None.

    It compares this machine's clock with the server's, so both need NTP. A worker whose clock runs ahead by more than
    `PICKUP_DELAY_MAX_S` sends nothing: its orders are void, but no money is at risk.
    """
    pickup_delay = now - activity.info().started_time
    if pickup_delay > timedelta(seconds=PICKUP_DELAY_MAX_S):
        detail = f"picked up {pickup_delay.total_seconds():.1f} s late; the call could outlast the activity timeout"
    elif now >= settlement.expires_at:
        detail = "the order expired before it could be sent"
    else:
        return None
    return Verdict(outcome=Outcome.NOT_SENT, rule=Rule.TOO_LATE, detail=detail)
