"""Many settlements are examined with bounded concurrency and rate, in order, independently of each other."""

import asyncio
from collections.abc import Sequence

import pytest
from temporalio.testing import ActivityEnvironment

from activities.reconciliation.bounded_gather import ExamineSettlement, bounded_gather
from activities.reconciliation.mismatch import ExamineResult
from settlement import limits
from settlement.ids import SettlementId
from settlement.reconciliation import FindingKind, ScanResult

SETTLEMENTS = [SettlementId("alpha", f"N-{each}") for each in range(25)]


async def run_gather(settlements: Sequence[SettlementId], examine: ExamineSettlement) -> ScanResult:
    """Run `bounded_gather` as an activity does."""
    return await ActivityEnvironment().run(bounded_gather, settlements, examine)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the sleeps, and collect their durations."""
    asked: list[float] = []
    sleep = asyncio.sleep

    async def collect(seconds: float) -> None:
        asked.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", collect)
    return asked


@pytest.mark.usefixtures("pauses")
async def test_concurrency_is_bounded() -> None:
    at_once = [0]
    seen: list[SettlementId] = []

    async def examine(settlement: SettlementId) -> ExamineResult:
        seen.append(settlement)
        at_once.append(at_once[-1] + 1)
        await asyncio.sleep(0)
        at_once.append(at_once[-1] - 1)
        return ExamineResult()

    assert await run_gather(SETTLEMENTS, examine) == ScanResult(checked=len(SETTLEMENTS))
    assert seen == SETTLEMENTS
    assert max(at_once) == limits.RECONCILE_CONCURRENCY


async def test_the_rate_is_bounded(pauses: list[float]) -> None:
    async def examine(_: SettlementId) -> ExamineResult:
        return ExamineResult()

    await run_gather(SETTLEMENTS, examine)
    signs_of_life = limits.RECONCILE_HEARTBEAT.total_seconds() / 3
    assert sum(each for each in pauses if each != signs_of_life) == len(SETTLEMENTS) / limits.RECONCILE_RATE_PER_S


@pytest.mark.usefixtures("pauses")
async def test_results_and_failures_are_counted() -> None:
    async def examine(settlement: SettlementId) -> ExamineResult:
        match settlement.number:
            case "N-3" | "N-24":
                raise RuntimeError
            case "N-5":
                return ExamineResult(FindingKind.WORKFLOW_STUCK)
            case "N-7":
                return ExamineResult(FindingKind.WORKFLOW_MISSING, repaired=True)
        return ExamineResult()

    assert await run_gather(SETTLEMENTS, examine) == ScanResult(checked=25, found=2, repaired=1, failed=2)


@pytest.mark.usefixtures("pauses")
async def test_after_the_time_budget_the_first_settlements_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECONCILE_PAGE_BUDGET_S", 0)
    seen: list[SettlementId] = []

    async def examine(settlement: SettlementId) -> ExamineResult:
        seen.append(settlement)
        return ExamineResult()

    scanned = await run_gather(SETTLEMENTS, examine)
    assert scanned.checked == len(seen) == limits.RECONCILE_CONCURRENCY
    assert seen == SETTLEMENTS[: len(seen)]


async def test_an_empty_list_has_an_empty_result() -> None:
    async def examine(_: SettlementId) -> ExamineResult:
        raise AssertionError

    assert await run_gather([], examine) == ScanResult()
