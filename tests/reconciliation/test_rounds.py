"""A round on a real server: bounded, not stopped by a single settlement, and able to catch up after an outage."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from temporalio.client import WorkflowFailureError
from temporalio.testing import ActivityEnvironment

from activities.reconciliation.compare import ReviewFindings
from activities.reconciliation.repair import Reconciler
from ledger.tables import settlements
from settlement.calls import Verdict
from settlement.reconciliation import FindingKind, FindingStatus, ScanTask
from settlement.start import SettlementInput, accepted_snapshot
from settlement.states import State
from tests.reconciliation.conftest import Sides
from tests.support.orders import QUICK_POLICY, id_of, settlement
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


async def count_listed(sides: Sides) -> int:
    """Return the number of settlement workflows that Temporal lists."""
    return (await sides.temporal.count_workflows("WorkflowType = 'OrderSettlement'")).count


async def test_many_lost_settlements_are_taken_up_page_by_page(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a page has three settlements."""
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


async def test_a_page_that_ended_early_is_continued(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.limits.RECONCILE_PAGE_BUDGET_S", 0)
    monkeypatch.setattr("settlement.limits.RECONCILE_CONCURRENCY", 1)
    await lost(sides, 3)
    ended = await sides.round()
    assert (ended.ledger_checked, ended.repaired) == (3, 3)


async def test_a_settlement_that_cannot_be_examined_stops_no_other_and_is_tried_again(sides: Sides) -> None:
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


def move_database(database: Path, to: Path) -> None:
    """Move a database with its additional files."""
    for part in database.parent.glob(f"{database.name}*"):
        part.rename(to.with_name(part.name.replace(database.name, to.name)))


async def test_a_round_during_a_ledger_outage_fails_and_the_next_one_catches_up(sides: Sides, tmp_path: Path) -> None:
    await lost(sides, 2)
    await sides.engine.dispose()
    folder = tmp_path / "ledger.db"
    move_database(folder, tmp_path / "away.db")
    folder.mkdir()
    with pytest.raises(WorkflowFailureError):
        await sides.round()
    folder.rmdir()
    move_database(tmp_path / "away.db", folder)
    ended = await sides.round()
    assert (ended.repaired, ended.complete) == (2, True)


async def test_temporals_list_is_scanned_page_by_page(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.limits.RECONCILE_LIST_PAGE", 2)
    monkeypatch.setattr("settlement.limits.RECONCILE_QUERY_S", 0.2)
    orders = [settlement() for _ in range(5)]
    for order in orders:
        await sides.start(order)
        await sides.forget(order)

    async def all_listed() -> bool:
        return await count_listed(sides) == len(orders)

    await until(all_listed, what="the list to show all")
    ended = await sides.round()
    assert (ended.temporal_checked, ended.found, ended.repaired) == (5, 5, 5)
    for order in orders:
        assert await sides.recorded(order) == accepted_snapshot(order)


@pytest.mark.parametrize("examined", [True, False])
async def test_the_take_up_limit_is_cleared_only_by_a_round_that_examined_everything(
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


async def test_nothing_is_taken_up_while_a_decision_conflict_is_open(sides: Sides) -> None:
    """Temporal has deleted the workflow that settled it; a cancel would reverse the settled amount."""
    [order] = await lost(sides, 1)
    number = order.adjust.requestUniqueNo
    at = datetime.now(UTC)
    conflict = await sides.record.report(
        FindingKind.DECISION_CONFLICT, id_of(number), "they differ", round_started_at=at
    )
    assert conflict is not None
    await sides.round()
    assert not await sides.is_known(order)
    await sides.record.close(conflict, FindingStatus.CLOSED, "closed by ops-1: put right by hand", at)
    await sides.round()
    assert (MISSING, REPAIRED) in await sides.found()


async def test_a_settlement_whose_system_is_missing_is_reported_until_the_system_is_back(sides: Sides) -> None:
    async def remove_then_lose() -> Verdict:
        external.is_configured = False
        sides.unusable["alpha"] = "it is not in the configuration"
        return UNKNOWN

    external = ScriptedExternalSystem(adjust=remove_then_lose, cancels=[REVERSED])
    async with sides.working(external):
        order = settlement(system="alpha")
        await sides.start(order)
        await sides.records(order, State.CANCELLING)
        await sides.round()
        [finding] = await sides.findings()
        assert (finding.kind, finding.status) == (FindingKind.SYSTEM_NOT_CONFIGURED, FindingStatus.OPEN)
        assert finding.request_unique_no == order.adjust.requestUniqueNo
        sides.unusable.clear()
        external.is_configured = True
        await sides.round()
        assert await sides.found() == [(FindingKind.SYSTEM_NOT_CONFIGURED, FindingStatus.CLEARED)]
        await sides.records(order, State.CANCELLED)
