"""From the ledger to Temporal: is there a workflow at work on every settlement that has not ended?"""

from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.reconciler import Reconciler
from activities.side_by_side import side_by_side
from contract import limits
from contract.reconciliation import Walked, WalkTask
from ledger import Standing


class CheckLedger:
    """Holds what looks at both sides."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn(name="check_ledger")
    async def check_ledger(self, task: WalkTask) -> Walked:
        """Examine the next open settlements, oldest first, and put right what is safe. Repeating it is safe.

        Raises ApplicationError WRONG_TEMPORAL where the ledger belongs to another Temporal, and whatever keeps either
        side from being read: then nothing was looked at.
        """
        await self._reconciler.begin(task)
        untouched_since = datetime.now(UTC) - timedelta(seconds=limits.RECONCILE_UNTOUCHED_S)
        after = _place(task.after) if task.after else None
        found = await self._reconciler.standings.open_ones(untouched_since, limits.RECONCILE_PAGE, after)
        walked = await side_by_side(
            [each.number for each in found],
            lambda number: self._reconciler.examine(number, task.round_started_at),
        )
        at_the_end = walked.checked == len(found) < limits.RECONCILE_PAGE
        return walked if at_the_end else walked.model_copy(update={"after": _text(found[walked.checked - 1])})


def _text(standing: Standing) -> str:
    return f"{standing.accepted_at.isoformat()} {standing.number}"


def _place(after: str) -> tuple[datetime, str]:
    moment, _, number = after.partition(" ")
    return datetime.fromisoformat(moment), number
