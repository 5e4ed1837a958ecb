"""Take-ups are limited per round, also with concurrent calls; an operator can allow more."""

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
    """Return how many of `count` sequential take-ups are permitted."""
    return sum([await take_ups.permit(at, limit) is not None for _ in range(asked)])


async def test_a_round_stops_at_its_limit_and_the_next_round_counts_from_zero(take_ups: TakeUps) -> None:
    assert await permitted(take_ups, NOON, 5) == 3
    assert await permitted(take_ups, NEXT, 2) == 2


async def test_concurrent_take_ups_do_not_exceed_the_limit(ledgers: list[Ledger]) -> None:
    several = [TakeUps(each.engine) for each in ledgers]
    answers = await asyncio.gather(*(each.permit(NOON, 7) for each in several * 6))
    assert sum(each is not None for each in answers) == 7


async def test_no_round_takes_up_any_while_the_finding_is_open(take_ups: TakeUps, engine: AsyncEngine) -> None:
    """Otherwise every round would reach its limit before an operator can act."""
    found = await Findings(engine).report(FindingKind.TAKE_UP_LIMIT, None, "", round_started_at=NOON)
    assert await permitted(take_ups, NEXT, 2) == 0
    assert found is not None
    await Findings(engine).close(found, FindingStatus.CLEARED, "gone", NEXT)
    assert await permitted(take_ups, NEXT, 1) == 1


async def test_an_operators_allowance_permits_exactly_its_count(take_ups: TakeUps, engine: AsyncEngine) -> None:
    await Findings(engine).report(FindingKind.TAKE_UP_LIMIT, None, "", round_started_at=NOON)
    allowance = await take_ups.allow(TWO_MORE, "ops-1", datetime.now(UTC))
    assert (allowance.count, allowance.used, allowance.operator) == (2, 0, "ops-1")
    assert await permitted(take_ups, NEXT, 5) == 2
    await take_ups.allow(TWO_MORE, "ops-1", datetime.now(UTC))
    answers = await asyncio.gather(*(take_ups.permit(NEXT, 3) for _ in range(9)))
    assert sum(each is not None for each in answers) == 2


async def test_an_allowance_expires(take_ups: TakeUps, engine: AsyncEngine) -> None:
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
