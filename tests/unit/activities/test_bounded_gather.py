"""Many settlements: a few at a time, not too fast, in order, and none stops the others."""

import asyncio
from collections.abc import Sequence

import pytest
from temporalio.testing import ActivityEnvironment

from activities.reconciliation.bounded_gather import ExamineSettlement, bounded_gather
from activities.reconciliation.repair import ExamineResult
from settlement import limits
from settlement.reconciliation import FindingKind, ScanResult

NUMBERS = [f"N-{each}" for each in range(25)]


async def walk(numbers: Sequence[str], examine: ExamineSettlement) -> ScanResult:
    """ExamineSettlement them as an activity does."""
    return await ActivityEnvironment().run(bounded_gather, numbers, examine)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no time pass, and collect how much would have."""
    asked: list[float] = []
    sleep = asyncio.sleep

    async def collect(seconds: float) -> None:
        asked.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", collect)
    return asked


@pytest.mark.usefixtures("pauses")
async def test_no_more_are_examined_at_once_than_may_be() -> None:
    at_once = [0]
    seen: list[str] = []

    async def examine(number: str) -> ExamineResult:
        seen.append(number)
        at_once.append(at_once[-1] + 1)
        await asyncio.sleep(0)
        at_once.append(at_once[-1] - 1)
        return ExamineResult()

    assert await walk(NUMBERS, examine) == ScanResult(checked=len(NUMBERS))
    assert seen == NUMBERS
    assert max(at_once) == limits.RECONCILE_CONCURRENCY


async def test_they_take_the_time_that_the_rate_asks_for(pauses: list[float]) -> None:
    async def examine(_: str) -> ExamineResult:
        return ExamineResult()

    await walk(NUMBERS, examine)
    signs_of_life = limits.RECONCILE_HEARTBEAT.total_seconds() / 3
    assert sum(each for each in pauses if each != signs_of_life) == len(NUMBERS) / limits.RECONCILE_RATE_PER_S


@pytest.mark.usefixtures("pauses")
async def test_what_came_of_them_is_counted_and_one_that_fails_is_counted_too() -> None:
    async def examine(number: str) -> ExamineResult:
        match number:
            case "N-3" | "N-24":
                raise RuntimeError
            case "N-5":
                return ExamineResult(FindingKind.WORKFLOW_STUCK)
            case "N-7":
                return ExamineResult(FindingKind.WORKFLOW_MISSING, repaired=True)
        return ExamineResult()

    assert await walk(NUMBERS, examine) == ScanResult(checked=25, found=2, repaired=1, failed=2)


@pytest.mark.usefixtures("pauses")
async def test_when_the_time_is_over_the_first_ones_have_been_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECONCILE_PAGE_BUDGET_S", 0)
    seen: list[str] = []

    async def examine(number: str) -> ExamineResult:
        seen.append(number)
        return ExamineResult()

    scanned = await walk(NUMBERS, examine)
    assert scanned.checked == len(seen) == limits.RECONCILE_CONCURRENCY
    assert seen == NUMBERS[: len(seen)]


async def test_nothing_to_look_at_is_nothing() -> None:
    async def examine(_: str) -> ExamineResult:
        raise AssertionError

    assert await walk([], examine) == ScanResult()
