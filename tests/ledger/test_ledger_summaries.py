"""Summaries of settlements are paged: each open settlement once, oldest first, and no others."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger, SettlementSummaries
from ledger.tables import settlements
from settlement.ids import SettlementId
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import END_STATES, State
from tests.ledger.samples import EAST, NOON, accepted, growing
from tests.support.orders import id_of, settlement

NAIVE = datetime(2026, 1, 5, 12)  # noqa: DTZ001 - the point of the test
SECOND = timedelta(seconds=1)
LATER = NOON + timedelta(days=1)


@pytest.fixture
def summaries(engine: AsyncEngine) -> SettlementSummaries:
    return SettlementSummaries(engine)


def cursor(found: list[str], orders: dict[str, SettlementInput]) -> tuple[datetime, SettlementId] | None:
    """Return the cursor of the next page, in another time zone."""
    return (orders[found[-1]].accepted_at.astimezone(EAST), id_of(found[-1])) if found else None


async def test_pages_contain_each_open_settlement_once_oldest_first(
    ledger: Ledger, summaries: SettlementSummaries
) -> None:
    orders = {
        f"N-{second}-{index}": settlement(accepted_at=NOON + second * SECOND, requestUniqueNo=f"N-{second}-{index}")
        for second in range(3)
        for index in range(3)
    }
    for order in reversed(orders.values()):
        await ledger.accept(order, accepted(updated_at=NOON))
    for limit in (1, 2, 4, 9, 10):
        found: list[str] = []
        while part := await summaries.open_settlements(LATER, limit, cursor(found, orders)):
            found += [each.settlement_id.number for each in part]
            assert len(found) <= len(orders)
        assert found == list(orders)


@pytest.mark.parametrize("state", State)
async def test_ended_settlements_are_not_listed(ledger: Ledger, summaries: SettlementSummaries, state: State) -> None:
    await ledger.record(settlement(), Snapshot(version=1, state=state, updated_at=NOON))
    assert len(await summaries.open_settlements(LATER, 10)) == (state not in END_STATES)


async def test_recently_written_settlements_are_not_listed(ledger: Ledger, summaries: SettlementSummaries) -> None:
    await ledger.record(settlement(), accepted(version=1, updated_at=NOON))
    assert await summaries.open_settlements(NOON, 10) == []
    assert len(await summaries.open_settlements(NOON + timedelta(microseconds=1), 10)) == 1


async def test_a_summary_has_state_version_and_expiry(ledger: Ledger, summaries: SettlementSummaries) -> None:
    order = settlement(accepted_at=NOON)
    await ledger.record(order, growing(3))
    (found,) = (await summaries.by_id([order.settlement_id, id_of("N-unknown")])).values()
    assert (found.settlement_id, found.state, found.version) == (order.settlement_id, State.CANCELLING, 3)
    assert (found.accepted_at, found.updated_at) == (NOON, growing(3).updated_at)
    assert found.expires_at == NOON + order.policy.expire_after_s * SECOND
    assert await summaries.by_id([]) == {}


async def test_an_unreadable_row_does_not_hide_others(
    ledger: Ledger, summaries: SettlementSummaries, engine: AsyncEngine
) -> None:
    broken, whole = (settlement(accepted_at=NOON) for _ in range(2))
    for order in (broken, whole):
        await ledger.accept(order, accepted(updated_at=NOON))
    by = settlements.c
    async with engine.begin() as connection:
        statement = update(settlements).where(by.request_unique_no == broken.adjust.requestUniqueNo)
        await connection.execute(statement.values(input={"what": "is this"}))
    found = {each.settlement_id.number: each for each in await summaries.open_settlements(LATER, 10)}
    assert found[whole.adjust.requestUniqueNo].expires_at > NOON
    with pytest.raises(ValueError, match="validation error"):
        _ = found[broken.adjust.requestUniqueNo].expires_at


async def test_a_time_in_a_query_needs_a_zone(summaries: SettlementSummaries) -> None:
    with pytest.raises(StatementError, match="the time has no time zone"):
        await summaries.open_settlements(NAIVE, 100)
    with pytest.raises(StatementError, match="the time has no time zone"):
        await summaries.open_settlements(NOON, 100, after=(NAIVE, id_of("N-1")))
