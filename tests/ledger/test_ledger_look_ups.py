"""The smaller questions: one settlement, those never started, and whether the ledger is ready at all."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import SQLAlchemyError, StatementError

from contract.payloads import SettlementInput, Snapshot
from contract.states import State
from ledger import Ledger
from tests.ledger.conftest import OpenEngine
from tests.ledger.samples import EAST, NOON, accepted, growing
from tests.support.orders import settlement

NAIVE = datetime(2026, 1, 5, 12)  # noqa: DTZ001 - the point of the test
SECOND = timedelta(seconds=1)


async def test_a_number_that_was_never_accepted_has_no_settlement(ledger: Ledger) -> None:
    await ledger.accept(settlement(requestUniqueNo="N-2"), accepted())
    for number in ("N-1", "n-2", "", "n" * 48, "n" * 500, "N%", "' OR 1=1 --", "🧾"):
        assert await ledger.find(number) is None


async def test_never_started_are_the_oldest_of_which_nothing_was_reported(ledger: Ledger) -> None:
    orders = [settlement(accepted_at=NOON + second * SECOND) for second in (3, 1, 4, 2)]
    for order in orders:
        await ledger.accept(order, accepted())
    by_age = sorted(orders, key=lambda order: order.accepted_at)
    assert await ledger.never_started(NOON + 10 * SECOND, 100) == by_age
    assert await ledger.never_started(NOON + 10 * SECOND, 3) == by_age[:3]


async def test_never_started_can_be_gone_through_in_parts(ledger: Ledger) -> None:
    """Oldest first, equal moments by number, each once: those that cannot be started keep nobody behind them away."""
    orders = [
        settlement(accepted_at=NOON + second * SECOND, requestUniqueNo=f"N-{second}-{index}")
        for second in range(3)
        for index in range(3)
    ]
    for order in reversed(orders):
        await ledger.accept(order, accepted())
    for limit in (1, 2, 4, 9):
        found: list[SettlementInput] = []
        while part := await ledger.never_started(NOON + 10 * SECOND, limit, after=place(found)):
            found += part
            assert len(found) <= len(orders)
        assert found == orders


def place(found: list[SettlementInput]) -> tuple[datetime, str] | None:
    """Return where the next part begins; a zone of its own makes no difference."""
    return (found[-1].accepted_at.astimezone(EAST), found[-1].adjust.requestUniqueNo) if found else None


async def test_the_moment_itself_is_not_before_it(ledger: Ledger) -> None:
    order = settlement(accepted_at=NOON)
    await ledger.accept(order, accepted())
    assert await ledger.never_started(NOON, 100) == []
    assert await ledger.never_started(NOON + timedelta(microseconds=1), 100) == [order]


async def test_one_that_has_reported_anything_was_started(ledger: Ledger) -> None:
    for state in State:
        order = settlement(accepted_at=NOON)
        await ledger.accept(order, accepted())
        await ledger.record(order, Snapshot(version=1, state=state, updated_at=NOON))
    assert await ledger.never_started(NOON + SECOND, 100) == []


async def test_moments_asked_for_need_a_zone_too(ledger: Ledger) -> None:
    with pytest.raises(StatementError, match="a moment needs a time zone"):
        await ledger.never_started(NAIVE, 100)
    with pytest.raises(StatementError, match="a moment needs a time zone"):
        await ledger.never_started(NOON, 100, after=(NAIVE, "N-1"))
    with pytest.raises(StatementError, match="a moment needs a time zone"):
        await ledger.page(after=(NAIVE, "N-1"), limit=10)


async def test_a_migrated_ledger_is_ready_empty_or_not(ledger: Ledger) -> None:
    await ledger.check()
    await ledger.record(settlement(), growing(2))
    await ledger.check()


async def test_a_database_without_the_tables_is_not_ready(empty_url: str, open_one: OpenEngine) -> None:
    """It says so in the one way that the front door answers with 503."""
    with pytest.raises(SQLAlchemyError, match="settlements"):
        await Ledger(open_one(empty_url)).check()
