"""Acceptance is idempotent by requestUniqueNo, also for concurrent callers and several processes."""

import asyncio
from typing import Any

import pytest

from ledger import Ledger, NumberReusedError, SettlementFilter
from tests.ledger.racer import Racer
from tests.ledger.samples import NOON, accepted, growing
from tests.support.orders import new_number, settlement

AT_ONCE = 30


async def test_accepting_a_number_again_returns_the_same_settlement(ledger: Ledger) -> None:
    order = settlement(accepted_at=NOON)
    first, is_new = await ledger.accept(order, accepted())
    again, is_new_again = await ledger.accept(order, accepted())
    assert (is_new, is_new_again) == (True, False)
    assert first == again
    assert first.settlement_id == order.settlement_id
    assert (first.settlement, first.snapshot) == (order, accepted())


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"amount": "12.51"}, ("amount",)),
        ({"company_id": 8}, ("companyId",)),
        ({"userName": "user-8", "orderId": 4712}, ("userName", "orderId")),
    ],
)
async def test_another_order_under_a_taken_number_is_refused_and_changes_nothing(
    ledger: Ledger, changes: dict[str, Any], fields: tuple[str, ...]
) -> None:
    """The refusal carries the settlement that has the number as it is now, and where the orders differ."""
    order = settlement(amount="12.50")
    other = settlement(**{"requestUniqueNo": order.adjust.requestUniqueNo, **changes})
    first, _ = await ledger.accept(order, accepted())
    await ledger.record(order, growing(3))
    with pytest.raises(NumberReusedError) as refused:
        await ledger.accept(other, accepted(reason="other"))
    assert refused.value.fields == fields
    assert refused.value.accepted == await ledger.find(first.settlement_id)
    assert (refused.value.accepted.settlement, refused.value.accepted.snapshot) == (order, growing(3))


async def test_the_same_order_written_otherwise_is_no_other_order(ledger: Ledger) -> None:
    order = settlement(amount="12.50")
    again = settlement(
        amount="12.5", ip="203.0.113.8", requestTime=1, requestUniqueNo=order.adjust.requestUniqueNo, metadata="{}"
    )
    await ledger.accept(order, accepted())
    found, is_new = await ledger.accept(again, accepted())
    assert not is_new
    assert found.settlement == order


async def test_accepting_again_returns_the_current_snapshot(ledger: Ledger) -> None:
    order = settlement()
    await ledger.accept(order, accepted())
    await ledger.record(order, growing(3))
    again, is_new = await ledger.accept(order, accepted())
    assert not is_new
    assert again.snapshot == growing(3)


async def test_of_concurrent_accepts_of_one_number_exactly_one_is_new(ledgers: list[Ledger]) -> None:
    """Each caller repeats the request at another time, through one of several engines; all get the same one."""
    number = new_number()
    orders = [settlement(requestUniqueNo=number, requestTime=each) for each in range(AT_ONCE)]
    answers = await asyncio.gather(
        *(ledgers[index % len(ledgers)].accept(order, accepted()) for index, order in enumerate(orders))
    )
    winners = [order for order, (_, is_new) in zip(orders, answers, strict=True) if is_new]
    assert len(winners) == 1
    assert {answer.settlement for answer, _ in answers} == set(winners)


async def test_of_many_different_orders_at_once_under_one_number_exactly_one_is_accepted(
    ledgers: list[Ledger],
) -> None:
    number = new_number()
    orders = [settlement(requestUniqueNo=number, orderId=each) for each in range(AT_ONCE)]
    answers = await asyncio.gather(
        *(ledgers[index % len(ledgers)].accept(order, accepted()) for index, order in enumerate(orders)),
        return_exceptions=True,
    )
    (winner,) = [answer for answer in answers if not isinstance(answer, BaseException)]
    refused = [answer for answer in answers if isinstance(answer, NumberReusedError)]
    assert len(refused) == AT_ONCE - 1
    assert {(each.accepted.settlement, each.fields) for each in refused} == {(winner[0].settlement, ("orderId",))}


async def test_concurrent_accepts_of_different_numbers_are_all_new(ledgers: list[Ledger]) -> None:
    orders = [settlement() for _ in range(AT_ONCE)]
    answers = await asyncio.gather(
        *(ledgers[index % len(ledgers)].accept(order, accepted()) for index, order in enumerate(orders))
    )
    assert all(is_new for _, is_new in answers)
    assert [answer.settlement for answer, _ in answers] == orders


async def test_each_number_is_new_in_exactly_one_of_several_processes(database_url: str) -> None:
    """On SQLite too, no process gets a "database is locked" error: each waits for the lock.

    One process accepts the numbers one after the other, the other all at once.
    """
    prefix = new_number("race")
    numbers = [f"{prefix}-{index}" for index in range(15)]
    racers = [await Racer.start(database_url, prefix, len(numbers), at_once) for at_once in (1, len(numbers))]
    for racer in racers:
        racer.go()
    answers = [answer for racer in racers for answer in await racer.rest()]
    assert sorted(number for number, is_new in answers if is_new) == sorted(numbers)
    assert sorted(number for number, is_new in answers if not is_new) == sorted(numbers)


@pytest.mark.parametrize(
    "alike",
    [("A", "a"), ("N", "N "), (" N", "N"), ("\u00e9", "e\u0301"), ("\uff21", "A"), ("\u00df", "ss"), ("I", "\u0131")],
    ids=ascii,
)
async def test_similar_numbers_are_different_settlements(ledger: Ledger, alike: tuple[str, str]) -> None:
    """Both databases compare numbers by code points: no case folding, no trimming, no normalisation."""
    prefix = new_number()[:24]
    orders = [settlement(requestUniqueNo=f"{prefix}{each}", orderId=index) for index, each in enumerate(alike)]
    answers = [await ledger.accept(order, accepted()) for order in orders]
    assert [is_new for _, is_new in answers] == [True, True]
    for order in orders:
        found = await ledger.find(order.settlement_id)
        assert found is not None
        assert found.settlement == order
        page = await ledger.page(SettlementFilter(request_unique_no=order.adjust.requestUniqueNo), limit=9)
        assert [each.settlement for each in page.settlements] == [order]


async def test_the_longest_number_of_4_byte_characters_is_stored(ledger: Ledger) -> None:
    order = settlement(requestUniqueNo="\U0001f4b6" * 48)
    await ledger.accept(order, accepted())
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert found.settlement == order
