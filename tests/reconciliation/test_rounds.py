"""A round on real parts: bounded, let down by no single settlement, and none the worse for what was away."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from temporalio.client import WorkflowFailureError
from temporalio.testing import ActivityEnvironment

from activities.reconciliation.compare import ReviewFindings
from activities.reconciliation.repair import Reconciler
from ledger.tables import settlements
from settlement.reconciliation import FindingKind, FindingStatus, ScanTask
from settlement.start import SettlementInput, accepted_snapshot
from settlement.states import State
from tests.reconciliation.conftest import Sides
from tests.support.orders import QUICK_POLICY, settlement
from tests.support.polling import until
from tests.support.scripted import REVERSED, UNKNOWN, ScriptedExternalSystem
from workflows.start import take_up

MISSING, REPAIRED = FindingKind.WORKFLOW_MISSING, FindingStatus.REPAIRED


async def lost(sides: Sides, count: int) -> list[SettlementInput]:
    """Accept orders whose workflows Temporal has lost, oldest first."""
    first = datetime.now(UTC) - timedelta(seconds=QUICK_POLICY.expire_after_s + count + 1)
    orders = [settlement(accepted_at=first + timedelta(seconds=each)) for each in range(count)]
    for order in orders:
        await sides.ledger.accept(order, accepted_snapshot(order))
    return orders


async def running(sides: Sides) -> int:
    """Count the settlements' workflows that Temporal lists."""
    return (await sides.temporal.count_workflows("WorkflowType = 'OrderSettlement'")).count


async def test_thousands_that_a_restored_temporal_has_lost_are_taken_up_part_by_part(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands, by the real limits; here a part is three."""
    monkeypatch.setattr("settlement.limits.RECONCILE_PAGE", 3)
    monkeypatch.setattr("settlement.limits.RECONCILE_CONCURRENCY", 2)
    orders = await lost(sides, 8)
    ended = await sides.round()
    assert (ended.ledger_checked, ended.repaired, ended.complete) == (8, 8, True)
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED] * 8)
    async with sides.working(external):
        for order in orders:
            await sides.records(order, State.CANCELLED)
    assert len(set(external.cancel_numbers)) == 8


async def test_a_part_whose_time_is_over_is_gone_on_from_where_it_ended(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settlement.limits.RECONCILE_PAGE_BUDGET_S", 0)
    monkeypatch.setattr("settlement.limits.RECONCILE_CONCURRENCY", 1)
    await lost(sides, 3)
    ended = await sides.round()
    assert (ended.ledger_checked, ended.repaired) == (3, 3)


async def test_one_that_cannot_be_looked_at_stops_no_other_and_is_not_passed_over(sides: Sides) -> None:
    broken, *others = await lost(sides, 4)
    by = settlements.c
    statement = update(settlements).where(by.request_unique_no == broken.adjust.requestUniqueNo)
    async with sides.engine.begin() as connection:
        await connection.execute(statement.values(input={"what": "is this"}))
    ended = await sides.round()
    assert (ended.ledger_checked, ended.repaired, ended.complete) == (4, 3, False)
    async with sides.engine.begin() as connection:
        await connection.execute(statement.values(input=broken.model_dump(mode="json")))
    ended = await sides.round()
    assert (ended.repaired, ended.complete) == (1, True)
    assert len(others) == 3


def move(database: Path, to: Path) -> None:
    """Move a database with what belongs to it."""
    for part in database.parent.glob(f"{database.name}*"):
        part.rename(to.with_name(part.name.replace(database.name, to.name)))


async def test_a_round_while_the_ledger_is_away_fails_and_the_next_one_makes_up_for_it(
    sides: Sides, tmp_path: Path
) -> None:
    await lost(sides, 2)
    await sides.engine.dispose()
    folder = tmp_path / "ledger.db"
    move(folder, tmp_path / "away.db")
    folder.mkdir()
    with pytest.raises(WorkflowFailureError):
        await sides.round()
    folder.rmdir()
    move(tmp_path / "away.db", folder)
    ended = await sides.round()
    assert (ended.repaired, ended.complete) == (2, True)


async def test_temporals_list_is_gone_through_page_by_page(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.limits.RECONCILE_LIST_PAGE", 2)
    monkeypatch.setattr("settlement.limits.RECONCILE_QUERY_S", 0.2)
    orders = [settlement() for _ in range(5)]
    for order in orders:
        await sides.start(order)
        await sides.forget(order)

    async def all_listed() -> bool:
        return await running(sides) == len(orders)

    await until(all_listed, what="the list to show all")
    ended = await sides.round()
    assert (ended.temporal_checked, ended.found, ended.repaired) == (5, 5, 5)
    for order in orders:
        assert await sides.recorded(order) == accepted_snapshot(order)


@pytest.mark.parametrize("examined", [True, False])
async def test_the_limit_of_take_ups_is_lifted_only_by_a_round_that_has_looked_at_all(
    sides: Sides, *, examined: bool
) -> None:
    earlier = datetime.now(UTC) - timedelta(minutes=1)
    finding = await sides.record.report(FindingKind.TAKE_UP_LIMIT, None, "too many", round_started_at=earlier)
    assert finding is not None
    review = ReviewFindings(Reconciler(sides.temporal, sides.engine, take_up)).review_findings
    task = ScanTask(round_started_at=datetime.now(UTC), all_open_examined=examined)
    await ActivityEnvironment().run(review, task)
    found = await sides.record.find(finding)
    assert found is not None
    assert (found.status is FindingStatus.CLEARED) is examined


async def test_nothing_is_taken_up_while_opposite_decisions_wait_for_an_operator(sides: Sides) -> None:
    """Temporal has forgotten the workflow that settled it; a cancel would take the money back."""
    [order] = await lost(sides, 1)
    number = order.adjust.requestUniqueNo
    at = datetime.now(UTC)
    conflict = await sides.record.report(FindingKind.DECISION_CONFLICT, number, "they differ", round_started_at=at)
    assert conflict is not None
    await sides.round()
    assert not await sides.is_known(order)
    await sides.record.close(conflict, FindingStatus.CLOSED, "closed by ops-1: put right by hand", at)
    await sides.round()
    assert (MISSING, REPAIRED) in await sides.found()
