"""Look at many settlements, a few at a time and not too fast, and give none the power to stop the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from activities.heartbeats import heartbeats
from activities.reconciliation.repair import Examined
from settlement import limits
from settlement.reconciliation import ScanResult

log = structlog.get_logger()

Examine = Callable[[str], Awaitable[Examined]]


async def bounded_gather(numbers: Sequence[str], examine: Examine) -> ScanResult:
    """Examine settlements in order, until done or until the time for one part is over.

    One that cannot be examined is counted and logged; the next round tries again. `checked` says how many were
    begun: always the first ones, and always some.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + limits.RECONCILE_PAGE_BUDGET_S
    scanned = ScanResult()
    async with heartbeats(limits.RECONCILE_HEARTBEAT):
        for first in range(0, len(numbers), limits.RECONCILE_CONCURRENCY):
            some = numbers[first : first + limits.RECONCILE_CONCURRENCY]
            rest = asyncio.create_task(asyncio.sleep(len(some) / limits.RECONCILE_RATE_PER_S))
            outcomes = await asyncio.gather(*(_guarded(number, examine) for number in some))
            scanned = _plus(scanned, outcomes)
            await rest
            if loop.time() >= ends_at:
                break
    return scanned


async def _guarded(number: str, examine: Examine) -> Examined | None:
    try:
        return await examine(number)
    except Exception:
        log.exception("not examined", settlement=number)
        return None


def _plus(scanned: ScanResult, outcomes: Sequence[Examined | None]) -> ScanResult:
    done = [each for each in outcomes if each is not None]
    return ScanResult(
        checked=scanned.checked + len(outcomes),
        found=scanned.found + sum(each.kind is not None for each in done),
        repaired=scanned.repaired + sum(each.repaired for each in done),
        failed=scanned.failed + len(outcomes) - len(done),
    )
