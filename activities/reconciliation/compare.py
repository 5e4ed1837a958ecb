"""Activities that compare one page of the ledger with Temporal, in both directions, and record the round."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.reconciliation.bounded_gather import bounded_gather
from activities.reconciliation.diagnose import may_be_ahead
from activities.reconciliation.mismatch import ExamineResult
from activities.reconciliation.repair import Reconciler
from activities.reconciliation.temporal_workflows import WorkflowPage
from ledger import Findings, SettlementSummary
from settlement import limits
from settlement.ids import SettlementId
from settlement.reconciliation import (
    CLOSED_BY_OPERATOR,
    Finding,
    FindingKind,
    FindingStatus,
    RoundEnd,
    ScanResult,
    ScanTask,
)


class CheckTemporal:
    """The activity `check_temporal`."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn(name="check_temporal")
    async def check_temporal(self, task: ScanTask) -> ScanResult:
        """Scan one page of workflows that are open, or have closed since the last complete scan, and repair mismatches.

        The time of the last scan is in the ledger's database. A restored backup also restores that time, so the scan
        finds all rows that the backup lacks. Repeating it is safe. Raises ApplicationError WRONG_TEMPORAL if the ledger
        is bound to another Temporal namespace, and any error of reading the ledger or Temporal; then nothing was
        examined.
        """
        await self._reconciler.check_temporal_identity(task)
        since = await self._reconciler.findings.listed_to() or task.round_started_at - limits.RECONCILE_FIRST_WINDOW
        closed_since = since - limits.RECONCILE_LIST_SLACK
        listed = await self._reconciler.workflows.page(limits.RECONCILE_LIST_PAGE, closed_since, task.after)
        suspects = await self._suspects(listed)
        scanned = await bounded_gather(suspects, lambda each: self._reconciler.examine(each, task.round_started_at))
        not_examined = len(suspects) - scanned.checked
        checked = len(listed.running | listed.closed) - not_examined
        return scanned.model_copy(
            update={"checked": checked, "failed": scanned.failed + not_examined, "after": listed.after}
        )

    async def _suspects(self, listed: WorkflowPage) -> list[SettlementId]:
        """Return the settlements whose row is missing, or has ended while the workflow is open. Usually few."""
        known = await self._reconciler.summaries.by_id(listed.running | listed.closed)
        now = datetime.now(UTC)
        missing = (listed.running | listed.closed) - known.keys()
        ahead = {each for each in listed.running & known.keys() if may_be_ahead(known[each], now)}
        return sorted(missing | ahead)


class CheckLedger:
    """The activity `check_ledger`."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn(name="check_ledger")
    async def check_ledger(self, task: ScanTask) -> ScanResult:
        """Examine one page of open settlements, oldest first, and repair mismatches. Repeating it is safe.

        Raises ApplicationError WRONG_TEMPORAL if the ledger is bound to another Temporal namespace, and any error of
        reading the ledger or Temporal; then nothing was examined.
        """
        await self._reconciler.check_temporal_identity(task)
        unchanged_since = datetime.now(UTC) - timedelta(seconds=limits.RECONCILE_UNCHANGED_S)
        after = _parse_cursor(task.after) if task.after else None
        found = await self._reconciler.summaries.open_settlements(unchanged_since, limits.RECONCILE_PAGE, after)
        scanned = await bounded_gather(
            [each.settlement_id for each in found],
            lambda each: self._reconciler.examine(each, task.round_started_at),
        )
        is_last_page = scanned.checked == len(found) < limits.RECONCILE_PAGE
        return scanned if is_last_page else scanned.model_copy(update={"after": _cursor(found[scanned.checked - 1])})


def _cursor(last: SettlementSummary) -> str:
    return f"{last.accepted_at.isoformat()} {last.settlement_id}"


def _parse_cursor(after: str) -> tuple[datetime, SettlementId]:
    accepted_at, _, settlement_id = after.partition(" ")
    return datetime.fromisoformat(accepted_at), SettlementId.parse(settlement_id)


NO_MISMATCH = "a later round found no mismatch"


class ReviewFindings:
    """The activity `review_findings`."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn(name="review_findings")
    async def review_findings(self, task: ScanTask) -> ScanResult:
        """Examine again the settlements of open findings that this round has not seen; close those without a mismatch.

        A finding that is not about a settlement is closed if this round has not reported it. TAKE_UP_LIMIT is closed
        only if the round has examined every open settlement, because a settlement without a take-up has no finding of
        its own. Repeating it is safe.
        """
        await self._reconciler.check_temporal_identity(task)
        after = int(task.after or 0)
        found = await self._reconciler.findings.open_not_seen_since(task.round_started_at, limits.RECONCILE_PAGE, after)
        general = (each for each in found if each.settlement_id is None)
        await self._clear(
            each for each in general if task.all_open_examined or each.kind is not FindingKind.TAKE_UP_LIMIT
        )

        async def examine_again(settlement_id: SettlementId) -> ExamineResult:
            examined = await self._reconciler.examine(settlement_id, task.round_started_at)
            about_it = (each for each in found if each.settlement_id == settlement_id)
            await self._clear(
                each for each in about_it if each.kind is not examined.kind and each.kind not in CLOSED_BY_OPERATOR
            )
            return examined

        settlements = list(dict.fromkeys(each.settlement_id for each in found if each.settlement_id is not None))
        scanned = await bounded_gather(settlements, examine_again)
        not_examined = len(settlements) - scanned.checked
        following = str(found[-1].finding_id) if len(found) == limits.RECONCILE_PAGE else None
        return scanned.model_copy(update={"failed": scanned.failed + not_examined, "after": following})

    async def _clear(self, cleared: Iterable[Finding]) -> None:
        for each in cleared:
            await self._reconciler.findings.close(
                each.finding_id, FindingStatus.CLEARED, NO_MISMATCH, datetime.now(UTC)
            )


class RecordRound:
    """The activity `record_round`."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    @activity.defn(name="record_round")
    async def record_round(self, end: RoundEnd) -> None:
        """Write a round to the ledger's database. Repeating it changes nothing. Raises any database error."""
        await self._findings.record_round(end.ended, end.listed_to)
