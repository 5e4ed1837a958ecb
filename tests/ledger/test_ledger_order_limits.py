"""The sum per hour of an order limit holds exactly, over several processes, on both databases."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select, update

from ledger import Ledger
from ledger.tables import order_sums
from settlement.order_limits import WINDOW_MINUTES, AmountLimitError, LimitKind, OrderLimit
from settlement.start import SettlementInput
from tests.ledger.racer import Racer
from tests.ledger.samples import accepted
from tests.support.orders import new_number, settlement

AT_ONCE = 24
PROCESSES = 3


async def accept(ledger: Ledger, order: SettlementInput, *limits: OrderLimit) -> bool | LimitKind:
    """Accept an order; return whether it is new, or the kind of limit that refused it."""
    try:
        return (await ledger.accept(order, accepted(), limits))[1]
    except AmountLimitError as above:
        return above.kind


async def sums(ledger: Ledger) -> dict[tuple[str, str], list[str]]:
    """Return the sums of the minutes by limit and currency."""
    async with ledger.engine.connect() as connection:
        found = (await connection.execute(select(order_sums))).all()
    return {(row.limit_name, row.currency): list(row.minutes.values()) for row in found}


async def age(ledger: Ledger, minutes: int) -> None:
    """Let all sums be older."""
    async with ledger.engine.begin() as connection:
        for row in (await connection.execute(select(order_sums))).all():
            older: dict[str, Any] = {str(int(minute) - minutes): amount for minute, amount in row.minutes.items()}
            await connection.execute(update(order_sums).values(minutes=older))


def spend(*amounts: str, currency: str = "USD") -> Sequence[SettlementInput]:
    """Return orders of these amounts."""
    return [settlement(amount=amount, currency=currency, amountDigits=18) for amount in amounts]


async def test_sum_reaches_the_limit_exactly_and_never_exceeds_it(ledger: Ledger) -> None:
    """As floats, 0.1 and 0.2 would exceed 0.3."""
    limit = OrderLimit("hourly", per_hour="0.3")
    orders = spend("0.1", "0.2", "0.000000000000000001")
    assert [await accept(ledger, each, limit) for each in orders] == [True, True, LimitKind.PER_HOUR]
    assert await ledger.find(orders[2].settlement_id) is None


async def test_amounts_of_forty_characters_are_added_exactly(ledger: Ledger) -> None:
    whole = "9" * 21
    limit = OrderLimit("hourly", per_hour=f"{whole}.000000000000000001")
    orders = spend(f"{whole}.0", "0.000000000000000001", "0.000000000000000001")
    assert [await accept(ledger, each, limit) for each in orders] == [True, True, LimitKind.PER_HOUR]


async def test_repeat_of_an_accepted_order_never_counts_and_is_never_refused(ledger: Ledger) -> None:
    (order,) = spend("10")
    limit = OrderLimit("hourly", per_hour="15")
    assert [await accept(ledger, order, limit) for _ in range(3)] == [True, False, False]
    tightened = OrderLimit("hourly", per_order="1", per_hour="1")
    assert await accept(ledger, order, tightened) is False
    assert [await accept(ledger, each, limit) for each in spend("5", "0.01")] == [True, LimitKind.PER_HOUR]


async def test_negative_amounts_count_without_their_sign(ledger: Ledger) -> None:
    limit = OrderLimit("hourly", per_order="12", per_hour="15")
    deductions = [settlement(amount=each, operationType="ABNORMAL_OVERTRADING") for each in ("-12.01", "-10", "-6")]
    answers = [await accept(ledger, each, limit) for each in deductions]
    assert answers == [LimitKind.PER_ORDER, True, LimitKind.PER_HOUR]


async def test_order_that_one_limit_refuses_counts_in_no_other(ledger: Ledger) -> None:
    first, second = OrderLimit("a", per_hour="100"), OrderLimit("b", per_hour="5")
    assert [await accept(ledger, each, first, second) for each in spend("5", "1")] == [True, LimitKind.PER_HOUR]
    assert await sums(ledger) == {("a", "USD"): ["5"], ("b", "USD"): ["5"]}


async def test_each_currency_has_its_own_sum(ledger: Ledger) -> None:
    limit = OrderLimit("hourly", per_hour="5")
    orders = [*spend("5"), *spend("5", currency="EUR"), *spend("1", currency="EUR")]
    assert [await accept(ledger, each, limit) for each in orders] == [True, True, LimitKind.PER_HOUR]


@pytest.mark.parametrize(
    ("minutes", "answer"), [(WINDOW_MINUTES - 1, [LimitKind.PER_HOUR]), (WINDOW_MINUTES + 1, [True])]
)
async def test_order_counts_for_one_hour(ledger: Ledger, minutes: int, answer: list[object]) -> None:
    limit = OrderLimit("hourly", per_hour="5")
    assert await accept(ledger, spend("5")[0], limit) is True
    await age(ledger, minutes)
    assert await accept(ledger, spend("5")[0], limit) in answer


async def test_sums_stay_small(ledger: Ledger) -> None:
    """The cost of an order does not grow with the number of orders before it."""
    limit = OrderLimit("hourly", per_hour="1000")
    for _ in range(WINDOW_MINUTES + 5):
        assert await accept(ledger, spend("1")[0], limit) is True
        await age(ledger, 1)
    ((minutes,),) = [(each,) for each in (await sums(ledger)).values()]
    assert len(minutes) <= WINDOW_MINUTES + 1


async def test_concurrent_orders_use_up_the_limit_exactly(ledgers: list[Ledger]) -> None:
    """Half of them fit, with two limits that both have to be locked."""
    limits = (OrderLimit("a", per_hour=str(AT_ONCE // 2)), OrderLimit("b", per_hour="1000"))
    orders = spend(*["1"] * AT_ONCE)
    answers = await asyncio.gather(
        *(accept(ledgers[index % len(ledgers)], order, *limits) for index, order in enumerate(orders))
    )
    assert answers.count(True) == AT_ONCE // 2
    assert answers.count(LimitKind.PER_HOUR) == AT_ONCE // 2
    found = [await ledgers[0].find(order.settlement_id) for order in orders]
    assert sum(each is not None for each in found) == AT_ONCE // 2


async def test_several_processes_use_up_the_limit_exactly(database_url: str) -> None:
    each_order = settlement().adjust.amount
    assert each_order == "12.50"
    racers = [await Racer.start(database_url, new_number(), AT_ONCE, 4, per_hour="250") for _ in range(PROCESSES)]
    for racer in racers:
        racer.go()
    answers = [answer for racer in racers for answer in await racer.rest()]
    assert len(answers) == PROCESSES * AT_ONCE
    assert sum(is_new for _, is_new in answers) == 20
