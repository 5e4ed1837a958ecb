"""Examines many settlements with bounded concurrency and rate; a failure of one does not affect the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from activities.heartbeats import heartbeats
from activities.reconciliation.mismatch import ExamineResult
from settlement import limits
from settlement.ids import SettlementId
from settlement.reconciliation import ScanResult

log = structlog.get_logger()

ExamineSettlement = Callable[[SettlementId], Awaitable[ExamineResult]]


async def bounded_gather(settlement_ids: Sequence[SettlementId], examine: ExamineSettlement) -> ScanResult:
    """Examine settlements in order until all are done or `RECONCILE_PAGE_BUDGET_S` has passed.

    Runs at most `RECONCILE_CONCURRENCY` at once and starts at most `RECONCILE_RATE_PER_S` per second. A settlement
    whose examination fails is logged and counted as `failed`; the next round tries again. `checked` is the number of
    settlements examined: always the first ones of `settlement_ids`, and at least one batch.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + limits.RECONCILE_PAGE_BUDGET_S
    scanned = ScanResult()
    async with heartbeats(limits.RECONCILE_HEARTBEAT):
        for first in range(0, len(settlement_ids), limits.RECONCILE_CONCURRENCY):
            batch = settlement_ids[first : first + limits.RECONCILE_CONCURRENCY]
            rest = asyncio.create_task(asyncio.sleep(len(batch) / limits.RECONCILE_RATE_PER_S))
            outcomes = await asyncio.gather(*(_examine_or_none(each, examine) for each in batch))
            scanned = _add_outcomes(scanned, outcomes)
            await rest
            if loop.time() >= ends_at:
                break
    return scanned


async def _examine_or_none(settlement_id: SettlementId, examine: ExamineSettlement) -> ExamineResult | None:
    try:
        return await examine(settlement_id)
    except Exception:
        log.exception("not examined; the next round will try again", settlement=str(settlement_id))
        return None


def _add_outcomes(scanned: ScanResult, outcomes: Sequence[ExamineResult | None]) -> ScanResult:
    done = [each for each in outcomes if each is not None]
    return ScanResult(
        checked=scanned.checked + len(outcomes),
        found=scanned.found + sum(each.kind is not None for each in done),
        repaired=scanned.repaired + sum(each.repaired for each in done),
        failed=scanned.failed + len(outcomes) - len(done),
    )
