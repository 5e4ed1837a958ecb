"""Take-ups are counted by round and stop at the limit, however many ask at once; a person may allow more."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Findings, Ledger, TakeUps
from ledger.reconciliation.take_ups import ALLOWANCE_LASTS
from settlement.reconciliation import FindingKind, FindingStatus, TakeUpRequest
from tests.ledger.samples import NOON

NEXT = NOON + timedelta(minutes=1)
TWO_MORE = TakeUpRequest(count=2, note="Temporal's disk was lost")


@pytest.fixture
def take_ups(engine: AsyncEngine) -> TakeUps:
    return TakeUps(engine)


async def permitted(take_ups: TakeUps, at: datetime, asked: int, limit: int = 3) -> int:
    """Return how many of so many, one after the other, are permitted."""
    return sum([await take_ups.permit(at, limit) is not None for _ in range(asked)])


async def test_a_round_stops_at_its_limit_and_the_next_one_counts_anew(take_ups: TakeUps) -> None:
    assert await permitted(take_ups, NOON, 5) == 3
    assert await permitted(take_ups, NEXT, 2) == 2


async def test_of_many_at_once_no_more_than_the_limit(ledgers: list[Ledger]) -> None:
    several = [TakeUps(each.engine) for each in ledgers]
    answers = await asyncio.gather(*(each.permit(NOON, 7) for each in several * 6))
    assert sum(each is not None for each in answers) == 7


async def test_while_the_finding_is_open_no_round_takes_up_any(take_ups: TakeUps, engine: AsyncEngine) -> None:
    """Otherwise each round would take up its limit, and a person would come too late."""
    found = await Findings(engine).report(FindingKind.TAKE_UP_LIMIT, None, "", round_started_at=NOON)
    assert await permitted(take_ups, NEXT, 2) == 0
    assert found is not None
    await Findings(engine).close(found, FindingStatus.CLEARED, "gone", NEXT)
    assert await permitted(take_ups, NEXT, 1) == 1


async def test_a_person_allows_so_many_more_and_no_further(take_ups: TakeUps, engine: AsyncEngine) -> None:
    await Findings(engine).report(FindingKind.TAKE_UP_LIMIT, None, "", round_started_at=NOON)
    allowance = await take_ups.allow(TWO_MORE, "ops-1", datetime.now(UTC))
    assert (allowance.count, allowance.used, allowance.operator) == (2, 0, "ops-1")
    assert await permitted(take_ups, NEXT, 5) == 2
    await take_ups.allow(TWO_MORE, "ops-1", datetime.now(UTC))
    answers = await asyncio.gather(*(take_ups.permit(NEXT, 3) for _ in range(9)))
    assert sum(each is not None for each in answers) == 2


async def test_what_is_left_of_a_decision_ends_after_its_time(take_ups: TakeUps, engine: AsyncEngine) -> None:
    await Findings(engine).report(FindingKind.TAKE_UP_LIMIT, None, "", round_started_at=NOON)
    await take_ups.allow(TWO_MORE, "ops-1", datetime.now(UTC) - ALLOWANCE_LASTS)
    assert await permitted(take_ups, NEXT, 2) == 0


async def test_what_is_given_back_is_permitted_again(take_ups: TakeUps) -> None:
    permits = [await take_ups.permit(NOON, 3) for _ in range(3)]
    assert await permitted(take_ups, NOON, 1) == 0
    for permit in permits[:2]:
        assert permit is not None
        await take_ups.give_back(permit)
    assert await permitted(take_ups, NOON, 5) == 2


async def test_what_is_given_back_of_a_decision_can_be_used_again(take_ups: TakeUps, engine: AsyncEngine) -> None:
    """Back to the decision, and not to the round: the limit of the round is reached."""
    await Findings(engine).report(FindingKind.TAKE_UP_LIMIT, None, "", round_started_at=NOON)
    await take_ups.allow(TWO_MORE, "ops-1", datetime.now(UTC))
    permit = await take_ups.permit(NEXT, 3)
    assert permit is not None
    await take_ups.give_back(permit)
    assert await permitted(take_ups, NEXT, 5) == 2


async def test_a_refusal_is_not_counted(take_ups: TakeUps, engine: AsyncEngine) -> None:
    found = await Findings(engine).report(FindingKind.TAKE_UP_LIMIT, None, "", round_started_at=NOON)
    assert await permitted(take_ups, NOON, 5) == 0
    assert found is not None
    await Findings(engine).close(found, FindingStatus.CLEARED, "gone", NOON)
    assert await permitted(take_ups, NOON, 5) == 3
