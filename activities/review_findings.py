"""Look again at findings that are open and were not met in this round: what fits now is cleared."""

from collections.abc import Iterable
from datetime import UTC, datetime

from temporalio import activity

from activities.reconciler import Examined, Reconciler
from activities.side_by_side import side_by_side
from contract import limits
from contract.reconciliation import CLOSED_BY_OPERATOR, Finding, FindingKind, FindingStatus, Walked, WalkTask

GONE = "a later round found nothing that does not fit"


class ReviewFindings:
    """Holds what looks at both sides."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn(name="review_findings")
    async def review_findings(self, task: WalkTask) -> Walked:
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
        walked = await side_by_side(settlements, look_again)
        left = len(settlements) - walked.checked
        following = str(found[-1].finding_id) if len(found) == limits.RECONCILE_PAGE else None
        return walked.model_copy(update={"failed": walked.failed + left, "after": following})

    async def _clear(self, gone: Iterable[Finding]) -> None:
        for each in gone:
            await self._reconciler.findings.close(each.finding_id, FindingStatus.CLEARED, GONE, datetime.now(UTC))
