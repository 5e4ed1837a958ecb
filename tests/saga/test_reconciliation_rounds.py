"""A round runs every scan to its end or limit, a failing scan does not affect the others, and the round is recorded."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from settlement import limits
from settlement.reconciliation import ReconciliationRound, RoundCursors, ScanResult
from tests.support.limits import OF_A_ROUND, limits_in, timers_in
from tests.support.orders import new_number
from tests.support.rounds import Parts, looking_at, part
from workflows.reconciliation.workflow import PAGES_MAX, Reconciliation
from workflows.runtime import RECONCILIATION_TASK_QUEUE


async def run(environment: WorkflowEnvironment, parts: Parts) -> RoundCursors:
    """Run one round; return the cursors of the next one."""
    async with looking_at(environment.client, parts):
        return await environment.client.execute_workflow(
            Reconciliation.run, id=new_number("round"), task_queue=RECONCILIATION_TASK_QUEUE
        )


def counts(ended: ReconciliationRound) -> tuple[int, int, int, int]:
    return ended.ledger_checked, ended.temporal_checked, ended.found, ended.repaired


async def test_every_page_starts_at_the_cursor_of_the_previous_one(environment: WorkflowEnvironment) -> None:
    parts = Parts(
        temporal=(part(500, "t1"), part(20, found=2, repaired=2)),
        ledger=(part(100, "l1"), part(100, "l2"), part(7, found=1)),
        findings=(part(3, found=1, repaired=1),),
    )
    carry = await run(environment, parts)
    assert parts.asked_after("temporal") == [None, "t1"]
    assert parts.asked_after("ledger") == [None, "l1", "l2"]
    assert parts.asked_after("findings") == [None]
    (end,) = parts.ends
    assert counts(end.ended) == (207, 520, 4, 3)
    assert (end.ended.complete, end.listed_to) == (True, end.ended.started_at)
    assert end.ended.started_at <= end.ended.ended_at
    assert carry == RoundCursors()


async def test_batches_come_first_then_temporal_then_the_ledger_and_open_findings_last(
    environment: WorkflowEnvironment,
) -> None:
    """So an inserted row is examined in the same round, and only findings not seen in this round are examined again."""
    parts = Parts()
    await run(environment, parts)
    assert [way for way, _ in parts.asked] == ["batches", "temporal", "ledger", "findings"]


async def test_a_round_ends_at_its_limit_and_returns_the_cursors_of_the_next_one(
    environment: WorkflowEnvironment,
) -> None:
    full = limits.RECONCILE_CHECKED_MAX // 4
    listed = limits.RECONCILE_LISTED_MAX // 2
    parts = Parts(
        temporal=(part(listed, "t1"), part(listed, "t2"), part(1)),
        ledger=tuple(part(full, f"l{each}") for each in range(1, 6)),
    )
    carry = await run(environment, parts)
    assert parts.asked_after("ledger") == [None, "l1", "l2", "l3"]
    assert parts.asked_after("temporal") == [None, "t1"]
    (end,) = parts.ends
    assert counts(end.ended)[:2] == (limits.RECONCILE_CHECKED_MAX, limits.RECONCILE_LISTED_MAX)
    assert (end.ended.complete, end.listed_to) == (False, None)
    assert (carry.ledger_after, carry.temporal_after) == ("l4", "t2")
    assert carry.list_begun_at == end.ended.started_at


async def test_the_number_of_pages_in_a_round_is_bounded(environment: WorkflowEnvironment) -> None:
    parts = Parts(ledger=(part(0, "again"),))
    carry = await run(environment, parts)
    assert len(parts.asked_after("ledger")) == PAGES_MAX
    assert carry.ledger_after == "again"


@pytest.mark.parametrize("broken", ["batches", "temporal", "ledger", "findings"])
async def test_a_failing_scan_does_not_affect_the_others(environment: WorkflowEnvironment, broken: str) -> None:
    sides: dict[str, Any] = {way: (part(2),) for way in ("batches", "temporal", "ledger", "findings")}
    parts = Parts(**sides | {broken: (None,)})
    carry = await run(environment, parts)
    assert len(parts.asked_after(broken)) == 3, "a few attempts"
    assert {way for way, _ in parts.asked} == {"batches", "temporal", "ledger", "findings"}
    (end,) = parts.ends
    assert not end.ended.complete
    assert (end.listed_to is None) == (broken == "temporal")
    assert carry == RoundCursors()


async def test_a_failing_page_is_retried(environment: WorkflowEnvironment) -> None:
    parts = Parts(ledger=(None, part(5)))
    await run(environment, parts)
    (end,) = parts.ends
    assert (end.ended.complete, end.ended.ledger_checked) == (True, 5)


async def test_after_a_failing_page_the_next_round_starts_from_the_beginning(
    environment: WorkflowEnvironment,
) -> None:
    """Otherwise the pages before it would not be scanned while it keeps failing."""
    parts = Parts(ledger=(part(100, "l1"), None))
    carry = await run(environment, parts)
    assert carry.ledger_after is None
    assert parts.ends[0].ended.ledger_checked == 100


@pytest.mark.parametrize("way", ["batches", "temporal", "ledger", "findings"])
async def test_a_round_with_a_failed_examination_is_not_complete(environment: WorkflowEnvironment, way: str) -> None:
    failing: dict[str, Any] = {way: (part(3, failed=1),)}
    parts = Parts(**failing)
    await run(environment, parts)
    assert not parts.ends[0].ended.complete
    assert (parts.ends[0].listed_to is None) == (way == "temporal")


async def test_a_round_that_cannot_be_recorded_fails(
    environment: WorkflowEnvironment,
) -> None:
    parts = Parts(ledger_is_away=True)
    with pytest.raises(WorkflowFailureError):
        await run(environment, parts)
    parts.ledger_is_away = False
    await run(environment, parts)
    assert len(parts.ends) == 1


async def test_every_activity_of_a_round_has_its_limits(environment: WorkflowEnvironment) -> None:
    """A replay does not detect a changed limit."""
    async with looking_at(environment.client, Parts()):
        handle = await environment.client.start_workflow(
            Reconciliation.run, id=new_number("round"), task_queue=RECONCILIATION_TASK_QUEUE
        )
        await handle.result()
        history = await handle.fetch_history()
    assert limits_in(history) == OF_A_ROUND
    assert timers_in(history) == []


def test_the_limits_are_consistent_with_each_other() -> None:
    """A page ends before its activity times out, and a round of ordinary pages before the round times out."""
    slowest_s = 3 * limits.RECONCILE_RPC_S + limits.RECONCILE_QUERY_S + 4 * 10
    whole = timedelta.total_seconds
    assert limits.RECONCILE_PAGE_BUDGET_S + slowest_s < whole(limits.RECONCILE_PAGE_START_TO_CLOSE)
    assert whole(limits.RECONCILE_ROUND_MAX) > limits.RECONCILE_CHECKED_MAX / limits.RECONCILE_RATE_PER_S * 2
    assert limits.RECONCILE_PAGE / limits.RECONCILE_RATE_PER_S < limits.RECONCILE_PAGE_BUDGET_S
    assert limits.RECONCILE_LISTED_MAX // limits.RECONCILE_LIST_PAGE <= PAGES_MAX
    assert limits.RECONCILE_CHECKED_MAX // limits.RECONCILE_PAGE <= PAGES_MAX


@pytest.mark.parametrize(
    ("ledger", "examined"),
    [
        ((part(100, "l1"), part(7)), True),
        ((part(limits.RECONCILE_CHECKED_MAX, "l1"),), False),
        ((part(100, "l1"), None), False),
        ((part(100, failed=1),), False),
    ],
    ids=["to its end", "cut short", "not readable", "one of them in vain"],
)
async def test_the_findings_scan_gets_whether_every_open_settlement_was_examined(
    environment: WorkflowEnvironment, ledger: tuple[ScanResult | None, ...], *, examined: bool
) -> None:
    """A round that has not examined everything must not clear the take-up limit."""
    parts = Parts(ledger=ledger)
    await run(environment, parts)
    assert [task.all_open_examined for task in parts.reviews] == [examined]
