"""One round of reconciliation: compares the ledger with Temporal in both directions, and starts batches that wait."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.reconciliation.compare import CheckLedger, CheckTemporal, RecordRound, ReviewFindings
from activities.reconciliation.start_batches import StartBatches
from settlement.limits import (
    RECONCILE_BATCHES_MAX,
    RECONCILE_CHECKED_MAX,
    RECONCILE_HEARTBEAT,
    RECONCILE_LISTED_MAX,
    RECONCILE_PAGE_START_TO_CLOSE,
    RECORD_START_TO_CLOSE,
)
from settlement.reconciliation import ReconciliationRound, RoundCursors, RoundEnd, ScanResult, ScanTask

FEW_ATTEMPTS = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10), maximum_attempts=3
)
"""What fails longer than this is left to the next round."""

PARTS_MAX = 40
"""Of one way: parts that were ended early count as much as whole ones, and a round must come to its end."""

ScanActivity: TypeAlias = Callable[[Any, ScanTask], Awaitable[ScanResult]]


@dataclass(frozen=True)
class ScanDirection:
    """One of the ways to look."""

    look: ScanActivity
    summary: str
    checked_max: int


BATCHES = ScanDirection(StartBatches.start_batches, "start batches that have no workflow", RECONCILE_BATCHES_MAX)
FROM_TEMPORAL = ScanDirection(CheckTemporal.check_temporal, "from Temporal to the ledger", RECONCILE_LISTED_MAX)
FROM_LEDGER = ScanDirection(CheckLedger.check_ledger, "from the ledger to Temporal", RECONCILE_CHECKED_MAX)
AGAIN = ScanDirection(ReviewFindings.review_findings, "open findings again", RECONCILE_CHECKED_MAX)


@workflow.defn
class Reconciliation:
    """One round. A Temporal Schedule runs it, never two at once; each goes on where a limit cut the last one short."""

    @workflow.run
    async def run(self) -> RoundCursors:
        """Look both ways, put right what is safe, hand the rest to the operator, and write down the round.

        Batches come first: an operator waits for them, and the rest of a round can take minutes. Temporal comes before
        the ledger: a row that is written anew is then looked at like any other. A part that fails does not affect the
        others. Raises ActivityError if the round cannot be written down.
        """
        begun = workflow.get_last_completion_result(RoundCursors) or RoundCursors()
        batches = await self._go(BATCHES, None)
        temporal = await self._go(FROM_TEMPORAL, begun.temporal_after)
        ledger = await self._go(FROM_LEDGER, begun.ledger_after)
        all_open = begun.ledger_after is None and ledger.after is None and not ledger.failed
        again = await self._go(AGAIN, None, all_open_examined=all_open)
        list_begun_at = begun.list_begun_at or workflow.info().start_time
        came_to_its_end = temporal.after is None and not temporal.failed
        await self._record(
            RoundEnd(
                ended=self._ended(begun, ledger, temporal, again, batches),
                listed_to=list_begun_at if came_to_its_end else None,
            )
        )
        return RoundCursors(
            ledger_after=ledger.after,
            temporal_after=temporal.after,
            list_begun_at=list_begun_at if temporal.after else None,
        )

    async def _go(self, way: ScanDirection, after: str | None, *, all_open_examined: bool = False) -> ScanResult:
        """Go one way, part by part, to its end or to the limit of a round."""
        scanned = ScanResult(after=after)
        for _ in range(PARTS_MAX):
            try:
                part = await self._look(way, scanned.after, all_open_examined=all_open_examined)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                # From the beginning: what comes before the part that fails must not be missed for ever.
                workflow.logger.warning("a part of the round failed; the next one begins anew", exc_info=error)
                return scanned.model_copy(update={"failed": scanned.failed + 1, "after": None})
            scanned = _together(scanned, part)
            if scanned.after is None or scanned.checked >= way.checked_max:
                break
        return scanned

    async def _look(self, way: ScanDirection, after: str | None, *, all_open_examined: bool) -> ScanResult:
        return await workflow.execute_activity_method(
            way.look,
            ScanTask(round_started_at=workflow.info().start_time, after=after, all_open_examined=all_open_examined),
            start_to_close_timeout=RECONCILE_PAGE_START_TO_CLOSE,
            heartbeat_timeout=RECONCILE_HEARTBEAT,
            retry_policy=FEW_ATTEMPTS,
            summary=way.summary,
        )

    async def _record(self, end: RoundEnd) -> None:
        await workflow.execute_activity_method(
            RecordRound.record_round,
            end,
            start_to_close_timeout=RECORD_START_TO_CLOSE,
            retry_policy=FEW_ATTEMPTS,
            summary=f"{end.ended.found} found, {end.ended.repaired} put right",
        )

    def _ended(
        self, begun: RoundCursors, ledger: ScanResult, temporal: ScanResult, again: ScanResult, batches: ScanResult
    ) -> ReconciliationRound:
        ways = (ledger, temporal, again, batches)
        return ReconciliationRound(
            round_id=workflow.info().run_id,
            started_at=workflow.info().start_time,
            ended_at=workflow.now(),
            ledger_checked=ledger.checked,
            temporal_checked=temporal.checked,
            found=sum(scanned.found for scanned in ways),
            repaired=sum(scanned.repaired for scanned in ways),
            open_findings=0,
            complete=begun == RoundCursors() and not any(scanned.failed or scanned.after for scanned in ways),
        )


def _together(scanned: ScanResult, part: ScanResult) -> ScanResult:
    return ScanResult(
        checked=scanned.checked + part.checked,
        found=scanned.found + part.found,
        repaired=scanned.repaired + part.repaired,
        failed=scanned.failed + part.failed,
        after=part.after,
    )
