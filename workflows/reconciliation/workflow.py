"""One round of reconciliation: starts waiting batches, and compares the ledger with Temporal in both directions."""

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

ROUND_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10), maximum_attempts=3
)
"""After these attempts the page is left to the next round."""

PAGES_MAX = 40
"""Maximum pages of one scan in one round. A page that ended early counts as one, so that every round ends."""

ScanActivity: TypeAlias = Callable[[Any, ScanTask], Awaitable[ScanResult]]


@dataclass(frozen=True)
class Scan:
    """One scan of a round: its activity, its summary in the UI, and its maximum number of examined settlements."""

    activity: ScanActivity
    summary: str
    checked_max: int


BATCHES = Scan(StartBatches.start_batches, "start batches that have no workflow", RECONCILE_BATCHES_MAX)
FROM_TEMPORAL = Scan(CheckTemporal.check_temporal, "from Temporal to the ledger", RECONCILE_LISTED_MAX)
FROM_LEDGER = Scan(CheckLedger.check_ledger, "from the ledger to Temporal", RECONCILE_CHECKED_MAX)
OPEN_FINDINGS = Scan(ReviewFindings.review_findings, "review open findings", RECONCILE_CHECKED_MAX)


@workflow.defn
class Reconciliation:
    """One round. A Temporal Schedule runs it, never two at once. It continues where a limit ended the last round."""

    @workflow.run
    async def run(self) -> RoundCursors:
        """Compare in both directions, repair what is safe, review open findings, and record the round.

        Batches come first, because an operator waits for them and the rest of a round can take minutes. The scan of
        Temporal's list comes before the scan of the ledger, so that a row it inserts is examined in the same round. If
        one scan fails, the others still run. Raises ActivityError if the round cannot be recorded.
        """
        previous = workflow.get_last_completion_result(RoundCursors) or RoundCursors()
        batches = await self._scan(BATCHES, None)
        temporal = await self._scan(FROM_TEMPORAL, previous.temporal_after)
        ledger = await self._scan(FROM_LEDGER, previous.ledger_after)
        all_open = previous.ledger_after is None and ledger.after is None and not ledger.failed
        findings = await self._scan(OPEN_FINDINGS, None, all_open_examined=all_open)
        list_begun_at = previous.list_begun_at or workflow.info().start_time
        list_completed = temporal.after is None and not temporal.failed
        await self._record(
            RoundEnd(
                ended=self._round_record(previous, ledger, temporal, findings, batches),
                listed_to=list_begun_at if list_completed else None,
            )
        )
        return RoundCursors(
            ledger_after=ledger.after,
            temporal_after=temporal.after,
            list_begun_at=list_begun_at if temporal.after else None,
        )

    async def _scan(self, scan: Scan, after: str | None, *, all_open_examined: bool = False) -> ScanResult:
        """Run one scan page by page, to its end or to a limit of the round. Return the sum of its pages."""
        scanned = ScanResult(after=after)
        for _ in range(PAGES_MAX):
            try:
                page = await self._scan_page(scan, scanned.after, all_open_examined=all_open_examined)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                # The next round starts from the beginning: continuing here, it would never scan the pages before.
                workflow.logger.warning(
                    "a page of the round failed; the next round starts from the beginning", exc_info=error
                )
                return scanned.model_copy(update={"failed": scanned.failed + 1, "after": None})
            scanned = _add(scanned, page)
            if scanned.after is None or scanned.checked >= scan.checked_max:
                break
        return scanned

    async def _scan_page(self, scan: Scan, after: str | None, *, all_open_examined: bool) -> ScanResult:
        return await workflow.execute_activity_method(
            scan.activity,
            ScanTask(round_started_at=workflow.info().start_time, after=after, all_open_examined=all_open_examined),
            start_to_close_timeout=RECONCILE_PAGE_START_TO_CLOSE,
            heartbeat_timeout=RECONCILE_HEARTBEAT,
            retry_policy=ROUND_RETRY,
            summary=scan.summary,
        )

    async def _record(self, end: RoundEnd) -> None:
        await workflow.execute_activity_method(
            RecordRound.record_round,
            end,
            start_to_close_timeout=RECORD_START_TO_CLOSE,
            retry_policy=ROUND_RETRY,
            summary=f"{end.ended.found} mismatches, {end.ended.repaired} repaired",
        )

    def _round_record(
        self,
        previous: RoundCursors,
        ledger: ScanResult,
        temporal: ScanResult,
        findings: ScanResult,
        batches: ScanResult,
    ) -> ReconciliationRound:
        results = (ledger, temporal, findings, batches)
        return ReconciliationRound(
            round_id=workflow.info().run_id,
            started_at=workflow.info().start_time,
            ended_at=workflow.now(),
            ledger_checked=ledger.checked,
            temporal_checked=temporal.checked,
            found=sum(scanned.found for scanned in results),
            repaired=sum(scanned.repaired for scanned in results),
            open_findings=0,
            complete=previous == RoundCursors() and not any(scanned.failed or scanned.after for scanned in results),
        )


def _add(scanned: ScanResult, page: ScanResult) -> ScanResult:
    return ScanResult(
        checked=scanned.checked + page.checked,
        found=scanned.found + page.found,
        repaired=scanned.repaired + page.repaired,
        failed=scanned.failed + page.failed,
        after=page.after,
    )
