"""From Temporal to the ledger: does the ledger have every settlement that has a workflow, and is it as far?"""

from datetime import UTC, datetime

from temporalio import activity

from activities.diagnosis import may_be_ahead
from activities.reconciler import Reconciler
from activities.settlement_workflows import Listed
from activities.side_by_side import side_by_side
from contract import limits
from contract.reconciliation import Walked, WalkTask


class CheckTemporal:
    """Holds what looks at both sides."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn(name="check_temporal")
    async def check_temporal(self, task: WalkTask) -> Walked:
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
        walked = await side_by_side(suspects, lambda number: self._reconciler.examine(number, task.round_started_at))
        left = len(suspects) - walked.checked
        checked = len(listed.open_ones | listed.closed) - left
        return walked.model_copy(update={"checked": checked, "failed": walked.failed + left, "after": listed.after})

    async def _suspects(self, listed: Listed) -> list[str]:
        """Return those whose row is missing, or has ended although the workflow is open; most are none of these."""
        known = await self._reconciler.standings.of(listed.open_ones | listed.closed)
        now = datetime.now(UTC)
        missing = (listed.open_ones | listed.closed) - known.keys()
        ahead = {number for number in listed.open_ones & known.keys() if may_be_ahead(known[number], now)}
        return sorted(missing | ahead)
