"""Lists are paged newest first, each settlement once, even if others are accepted between the pages."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger, Page, SettlementFilter
from ledger.rows import settlement_values
from ledger.settlements import PAGE_LIMIT_MAX
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import State
from tests.ledger.conftest import insert_rows
from tests.ledger.samples import EAST, NOON, accepted, growing, resolved
from tests.support.orders import new_number, settlement

PAGES_MAX = 100


def accepted_after(second: float, number: str | None = None) -> SettlementInput:
    """Return an order that was accepted this many seconds after noon."""
    return settlement(accepted_at=NOON + timedelta(seconds=second), requestUniqueNo=number or new_number())


async def insert_orders(engine: AsyncEngine, orders: list[SettlementInput]) -> None:
    """Insert many accepted orders into the ledger."""
    await insert_rows(engine, (settlement_values(order, accepted()) for order in orders))


async def numbers_on_all_pages(ledger: Ledger, *, limit: int, state: State | None = None) -> list[str]:
    """Return the numbers on all pages, in order."""
    numbers: list[str] = []
    page = Page((), None)
    for _ in range(PAGES_MAX):
        page = await ledger.page(SettlementFilter(state=state), after=page.after, limit=limit)
        assert len(page.settlements) <= limit
        numbers += (each.settlement_id.number for each in page.settlements)
        if page.after is None:
            return numbers
    raise AssertionError(f"no end after {PAGES_MAX} pages")


def numbers_of(orders: list[SettlementInput]) -> list[str]:
    """Return the orders' numbers."""
    return [order.adjust.requestUniqueNo for order in orders]


async def test_an_empty_ledger_has_one_empty_page(ledger: Ledger) -> None:
    assert await ledger.page(limit=10) == Page((), None)


async def test_pages_of_any_size_contain_everything_once_newest_first(ledger: Ledger, engine: AsyncEngine) -> None:
    orders = [accepted_after(second) for second in (3, 1, 7, 5, 2, 6, 4)]
    await insert_orders(engine, orders)
    newest_first = sorted(orders, key=lambda order: order.accepted_at, reverse=True)
    for limit in (1, 2, 3, 6, 7, 8, 200):
        assert await numbers_on_all_pages(ledger, limit=limit) == numbers_of(newest_first)


async def test_a_page_contains_complete_settlements(ledger: Ledger) -> None:
    older, newer = accepted_after(1), accepted_after(2)
    await ledger.record(older, resolved(9))
    await ledger.record(newer, growing(2))
    page = await ledger.page(limit=10)
    assert [(each.settlement, each.snapshot) for each in page.settlements] == [
        (newer, growing(2)),
        (older, resolved(9)),
    ]
    assert list(page.settlements) == [await ledger.find(each.settlement_id) for each in (newer, older)]


async def test_only_the_last_page_has_no_cursor(ledger: Ledger, engine: AsyncEngine) -> None:
    orders = [accepted_after(second) for second in range(4)]
    await insert_orders(engine, orders)
    exactly_all = await ledger.page(limit=4)
    all_but_one = await ledger.page(limit=3)
    assert exactly_all.after is None
    assert all_but_one.after == (orders[1].accepted_at, orders[1].settlement_id)


async def test_equal_times_are_ordered_by_number(ledger: Ledger, engine: AsyncEngine) -> None:
    orders = [accepted_after(0, f"N-{index}") for index in (2, 5, 1, 4, 3)]
    await insert_orders(engine, [accepted_after(1, "N-0"), *orders, accepted_after(-1, "N-9")])
    for limit in (1, 2, 3, 5):
        assert await numbers_on_all_pages(ledger, limit=limit) == ["N-0", "N-5", "N-4", "N-3", "N-2", "N-1", "N-9"]


async def test_times_one_microsecond_apart_are_not_equal(ledger: Ledger, engine: AsyncEngine) -> None:
    orders = [accepted_after(index / 1_000_000, f"N-{9 - index}") for index in range(6)]
    await insert_orders(engine, orders)
    assert await numbers_on_all_pages(ledger, limit=1) == numbers_of(orders[::-1])


async def test_no_number_is_lost_or_repeated_with_any_text_ordering_of_the_database(
    ledger: Ledger, engine: AsyncEngine
) -> None:
    numbers = ["a", "A", "b", "B", "a-1", "a_1", "a1", "A1", "ä", "é", "e\u0301", "~", "a ", "🧾"]
    await insert_orders(engine, [accepted_after(0, number) for number in numbers])
    for limit in (1, 2, 4):
        assert sorted(await numbers_on_all_pages(ledger, limit=limit)) == sorted(numbers)


async def test_settlements_accepted_between_pages_neither_move_nor_repeat_others(
    ledger: Ledger, engine: AsyncEngine
) -> None:
    """Newer ones, older ones (another process's clock), and ones with the same time as the page's last one."""
    there = [accepted_after(second, f"M-{second}") for second in range(10)]
    await insert_orders(engine, there)
    page = await ledger.page(limit=2)
    seen = [each.settlement_id.number for each in page.settlements]
    while page.after is not None and len(seen) < PAGES_MAX:
        moment, turn = (page.after[0] - NOON).total_seconds(), len(seen)
        newcomers = [
            accepted_after(moment, f"A-{turn}"),
            accepted_after(moment, f"Z-{turn}"),
            accepted_after(100 + turn, f"new-{turn}"),
        ]
        await insert_orders(engine, [*newcomers, accepted_after(-turn, f"old-{turn}")] if moment > 0 else newcomers)
        page = await ledger.page(after=page.after, limit=2)
        seen += (each.settlement_id.number for each in page.settlements)
    assert len(seen) == len(set(seen))
    assert [number for number in seen if number.startswith("M-")] == numbers_of(there[::-1])
    assert not [number for number in seen if number.startswith("new-")]


async def test_a_cursor_is_independent_of_the_time_zone(ledger: Ledger, engine: AsyncEngine) -> None:
    orders = [accepted_after(second) for second in range(6)]
    await insert_orders(engine, orders)
    first = await ledger.page(limit=2)
    assert first.after is not None
    moment, number = first.after
    rest = await ledger.page(after=(moment.astimezone(EAST), number), limit=10)
    assert [each.settlement_id.number for each in rest.settlements] == numbers_of(orders[3::-1])


async def test_a_change_between_pages_does_not_move_a_settlement(ledger: Ledger, engine: AsyncEngine) -> None:
    orders = [accepted_after(second) for second in range(4)]
    await insert_orders(engine, orders)
    first = await ledger.page(limit=2)
    for order in orders:
        await ledger.record(order, growing(3))
    second = await ledger.page(after=first.after, limit=2)
    assert [each.settlement_id.number for each in (*first.settlements, *second.settlements)] == numbers_of(orders[::-1])


async def test_a_state_filter_lists_exactly_its_settlements(ledger: Ledger) -> None:
    orders = {state: [accepted_after(index), accepted_after(index + 0.5)] for index, state in enumerate(State)}
    for state, (older, newer) in orders.items():
        for order in (older, newer):
            await ledger.record(order, Snapshot(version=1, state=state, updated_at=NOON))
    for state, both in orders.items():
        assert await numbers_on_all_pages(ledger, limit=1, state=state) == numbers_of(both[::-1])


async def test_a_page_never_exceeds_the_maximum(ledger: Ledger, engine: AsyncEngine) -> None:
    await insert_orders(engine, [accepted_after(second) for second in range(PAGE_LIMIT_MAX + 1)])
    page = await ledger.page(limit=PAGE_LIMIT_MAX * 5)
    rest = await ledger.page(after=page.after, limit=PAGE_LIMIT_MAX * 5)
    assert (len(page.settlements), len(rest.settlements), rest.after) == (PAGE_LIMIT_MAX, 1, None)
