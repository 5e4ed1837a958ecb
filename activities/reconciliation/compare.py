"""Activities that compare one page of the ledger with Temporal, in both directions, and record the round."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.reconciliation.bounded_gather import bounded_gather
from activities.reconciliation.diagnose import may_be_ahead
from activities.reconciliation.repair import Examined, Reconciler
from activities.reconciliation.temporal_workflows import WorkflowPage
from ledger import Findings, SettlementSummary
from settlement import limits
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
    """Holds what looks at both sides."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn(name="check_temporal")
    async def check_temporal(self, task: ScanTask) -> ScanResult:
        """Look at the next workflows that are open, or have closed since the list was last gone through.

        Since when, the ledger's own database says: one that was restored from a backup has forgotten rounds and
        rows together, and so finds what it has forgotten. Repeating it is safe. Raises ApplicationError
        WRONG_TEMPORAL where the ledger belongs to another Temporal, and whatever keeps either side from being read:
        then nothing was looked at.
        """
        await self._reconciler.begin(task)
        since = await self._reconciler.findings.listed_to() or task.round_started_at - limits.RECONCILE_FIRST_WINDOW
        closed_since = since - limits.RECONCILE_LIST_SLACK
        listed = await self._reconciler.workflows.page(limits.RECONCILE_LIST_PAGE, closed_since, task.after)
        suspects = await self._suspects(listed)
        scanned = await bounded_gather(suspects, lambda number: self._reconciler.examine(number, task.round_started_at))
        left = len(suspects) - scanned.checked
        checked = len(listed.open_ones | listed.closed) - left
        return scanned.model_copy(update={"checked": checked, "failed": scanned.failed + left, "after": listed.after})

    async def _suspects(self, listed: WorkflowPage) -> list[str]:
        """Return those whose row is missing, or has ended although the workflow is open; most are none of these."""
        known = await self._reconciler.standings.of(listed.open_ones | listed.closed)
        now = datetime.now(UTC)
        missing = (listed.open_ones | listed.closed) - known.keys()
        ahead = {number for number in listed.open_ones & known.keys() if may_be_ahead(known[number], now)}
        return sorted(missing | ahead)


class CheckLedger:
    """Holds what looks at both sides."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn(name="check_ledger")
    async def check_ledger(self, task: ScanTask) -> ScanResult:
        """Examine the next open settlements, oldest first, and put right what is safe. Repeating it is safe.

        Raises ApplicationError WRONG_TEMPORAL where the ledger belongs to another Temporal, and whatever keeps either
        side from being read: then nothing was looked at.
        """
        await self._reconciler.begin(task)
        untouched_since = datetime.now(UTC) - timedelta(seconds=limits.RECONCILE_UNTOUCHED_S)
        after = _place(task.after) if task.after else None
        found = await self._reconciler.standings.open_ones(untouched_since, limits.RECONCILE_PAGE, after)
        scanned = await bounded_gather(
            [each.number for each in found],
            lambda number: self._reconciler.examine(number, task.round_started_at),
        )
        at_the_end = scanned.checked == len(found) < limits.RECONCILE_PAGE
        return scanned if at_the_end else scanned.model_copy(update={"after": _text(found[scanned.checked - 1])})


def _text(standing: SettlementSummary) -> str:
    return f"{standing.accepted_at.isoformat()} {standing.number}"


def _place(after: str) -> tuple[datetime, str]:
    moment, _, number = after.partition(" ")
    return datetime.fromisoformat(moment), number


GONE = "a later round found nothing that does not fit"


class ReviewFindings:
    """Holds what looks at both sides."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn(name="review_findings")
    async def review_findings(self, task: ScanTask) -> ScanResult:
        """Examine the settlements of the next such findings, and close those that are gone. Repeating it is safe.

        One that is about no settlement is gone if this round has not met it. The limit of take-ups is gone only if the
        round has examined every open settlement: those that are refused a take-up have no finding of their own.
        """
        await self._reconciler.begin(task)
        after = int(task.after or 0)
        found = await self._reconciler.findings.open_unseen(task.round_started_at, limits.RECONCILE_PAGE, after)
        numbers = [each.request_unique_no for each in found if each.request_unique_no is not None]
        of_none = (each for each in found if each.request_unique_no is None)
        await self._clear(
            each for each in of_none if task.all_open_examined or each.kind is not FindingKind.TAKE_UP_LIMIT
        )

        async def look_again(number: str) -> Examined:
            examined = await self._reconciler.examine(number, task.round_started_at)
            own = (each for each in found if each.request_unique_no == number)
            await self._clear(
                each for each in own if each.kind is not examined.kind and each.kind not in CLOSED_BY_OPERATOR
            )
            return examined

        settlements = list(dict.fromkeys(numbers))
        scanned = await bounded_gather(settlements, look_again)
        left = len(settlements) - scanned.checked
        following = str(found[-1].finding_id) if len(found) == limits.RECONCILE_PAGE else None
        return scanned.model_copy(update={"failed": scanned.failed + left, "after": following})

    async def _clear(self, gone: Iterable[Finding]) -> None:
        for each in gone:
            await self._reconciler.findings.close(each.finding_id, FindingStatus.CLEARED, GONE, datetime.now(UTC))


class RecordRound:
    """Holds the record of rounds."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    @activity.defn(name="record_round")
    async def record_round(self, end: RoundEnd) -> None:
        """Write a round into the ledger's database. Repeating it changes nothing. Any database error is raised."""
        await self._findings.record_round(end.ended, end.listed_to)
