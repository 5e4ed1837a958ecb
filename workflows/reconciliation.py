"""One round of reconciliation: ledger and Temporal are held against each other, both ways."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.check_ledger import CheckLedger
    from activities.check_temporal import CheckTemporal
    from activities.limits import (
        RECONCILE_CHECKED_MAX,
        RECONCILE_HEARTBEAT,
        RECONCILE_PAGE,
        RECONCILE_PAGE_START_TO_CLOSE,
        RECORD_START_TO_CLOSE,
    )
    from activities.record_round import RecordRound
    from activities.review_findings import ReviewFindings
    from contract.reconciliation import ReconciliationRound, RoundCarry, Walked, WalkTask

FEW_ATTEMPTS = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10), maximum_attempts=3
)
"""What fails longer than this is left to the next round."""

PARTS_MAX = 2 * RECONCILE_CHECKED_MAX // RECONCILE_PAGE
"""Parts that were ended early count as much as whole ones: a round must come to its end."""

Look: TypeAlias = Callable[[Any, WalkTask], Awaitable[Walked]]


@workflow.defn
class Reconciliation:
    """One round. A Temporal Schedule runs it, never two at once; each goes on where a limit cut the last one short."""

    @workflow.run
    async def run(self) -> RoundCarry:
        """Look both ways, put right what is safe, hand the rest to the operator, and write down the round.

        Temporal comes first: a row that is written anew is then looked at like any other. One side that cannot be
        read keeps nobody from the other one. Raises ActivityError if the round cannot be written down.
        """
        begun = workflow.get_last_completion_result(RoundCarry) or RoundCarry()
        started_at = workflow.info().start_time
        temporal = await self._walk(CheckTemporal.check_temporal, "from Temporal to the ledger", begun.temporal_after)
        ledger = await self._walk(CheckLedger.check_ledger, "from the ledger to Temporal", begun.ledger_after)
        review = await self._walk(ReviewFindings.review_findings, "open findings again", None)
        ways = (temporal, ledger, review)
        ended = ReconciliationRound(
            round_id=workflow.info().run_id,
            started_at=started_at,
            ended_at=workflow.now(),
            ledger_checked=ledger.checked,
            temporal_checked=temporal.checked,
            found=sum(way.found for way in ways),
            repaired=sum(way.repaired for way in ways),
            open_findings=0,
            complete=begun == RoundCarry() and not any(way.failed or way.after for way in ways),
        )
        await workflow.execute_activity_method(
            RecordRound.record_round,
            ended,
            start_to_close_timeout=RECORD_START_TO_CLOSE,
            retry_policy=FEW_ATTEMPTS,
            summary=f"{ended.found} found, {ended.repaired} put right",
        )
        return RoundCarry(ledger_after=ledger.after, temporal_after=temporal.after)

    async def _walk(self, look: Look, summary: str, after: str | None) -> Walked:
        """Go one way, part by part, to its end or to the limit of a round."""
        way = Walked(after=after)
        for _ in range(PARTS_MAX):
            try:
                part = await self._look(look, summary, way.after)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                workflow.logger.warning("a part of the round failed; the next one tries again", exc_info=error)
                return way.model_copy(update={"failed": way.failed + 1})
            way = _together(way, part)
            if way.after is None or way.checked >= RECONCILE_CHECKED_MAX:
                break
        return way

    async def _look(self, look: Look, summary: str, after: str | None) -> Walked:
        return await workflow.execute_activity_method(
            look,
            WalkTask(round_started_at=workflow.info().start_time, after=after),
            start_to_close_timeout=RECONCILE_PAGE_START_TO_CLOSE,
            heartbeat_timeout=RECONCILE_HEARTBEAT,
            retry_policy=FEW_ATTEMPTS,
            summary=summary,
        )


def _together(way: Walked, part: Walked) -> Walked:
    return Walked(
        checked=way.checked + part.checked,
        found=way.found + part.found,
        repaired=way.repaired + part.repaired,
        failed=way.failed + part.failed,
        after=part.after,
    )
