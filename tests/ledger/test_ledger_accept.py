"""Accepting: one number is one settlement, whoever asks, however often, however many at once."""

import asyncio
from datetime import timedelta

import pytest

from contract.adjust import AdjustBody
from contract.payloads import SettlementInput
from ledger import Ledger
from ledger.rows import fingerprint
from tests.ledger.racer import Racer
from tests.ledger.samples import NOON, accepted, growing
from tests.support.orders import QUICK_POLICY, new_number, settlement

AT_ONCE = 60


async def test_a_number_is_new_once_and_then_answers_for_the_same_settlement(ledger: Ledger) -> None:
    order = settlement(accepted_at=NOON)
    first, is_new = await ledger.accept(order, accepted())
    again, is_new_again = await ledger.accept(order, accepted())
    assert (is_new, is_new_again) == (True, False)
    assert first == again
    assert first.number == order.adjust.requestUniqueNo
    assert (first.settlement, first.snapshot, first.fingerprint) == (order, accepted(), fingerprint(order))


async def test_another_order_under_a_taken_number_gets_the_first_ones_record_and_changes_nothing(
    ledger: Ledger,
) -> None:
    order = settlement(amount="12.50")
    other = settlement(amount="12.51", requestUniqueNo=order.adjust.requestUniqueNo)
    first, _ = await ledger.accept(order, accepted())
    answer, is_new = await ledger.accept(other, accepted(reason="other"))
    assert not is_new
    assert answer == first
    assert answer.fingerprint != fingerprint(other)
    assert await ledger.find(first.number) == first


async def test_accepting_again_returns_what_has_become_of_the_settlement(ledger: Ledger) -> None:
    order = settlement()
    await ledger.accept(order, accepted())
    await ledger.record(order, growing(3))
    again, is_new = await ledger.accept(order, accepted())
    assert not is_new
    assert again.snapshot == growing(3)


async def test_of_many_at_once_with_one_number_exactly_one_is_new(ledgers: list[Ledger]) -> None:
    """Each caller asks for something else, through one of several engines; all are told of the same one."""
    number = new_number()
    orders = [settlement(requestUniqueNo=number, orderId=each) for each in range(AT_ONCE)]
    answers = await asyncio.gather(
        *(ledgers[index % len(ledgers)].accept(order, accepted()) for index, order in enumerate(orders))
    )
    winners = [order for order, (_, is_new) in zip(orders, answers, strict=True) if is_new]
    assert len(winners) == 1
    assert {answer.fingerprint for answer, _ in answers} == {fingerprint(winners[0])}
    assert {answer.settlement for answer, _ in answers} == set(winners)


async def test_many_numbers_at_once_are_all_new(ledgers: list[Ledger]) -> None:
    orders = [settlement() for _ in range(AT_ONCE)]
    answers = await asyncio.gather(
        *(ledgers[index % len(ledgers)].accept(order, accepted()) for index, order in enumerate(orders))
    )
    assert all(is_new for _, is_new in answers)
    assert [answer.settlement for answer, _ in answers] == orders


@pytest.mark.parametrize("at_once", [1, 15])
async def test_each_number_is_new_in_exactly_one_of_several_processes(database_url: str, at_once: int) -> None:
    """On SQLite, too, nobody is told that it is locked: each waits its turn."""
    prefix = new_number("race")
    numbers = [f"{prefix}-{index}" for index in range(15)]
    racers = [await Racer.start(database_url, prefix, len(numbers), at_once) for _ in range(3)]
    for racer in racers:
        racer.go()
    answers = [answer for racer in racers for answer in await racer.rest()]
    assert sorted(number for number, is_new in answers if is_new) == sorted(numbers)
    assert sorted(number for number, is_new in answers if not is_new) == sorted(numbers * 2)


BASE = SettlementInput(
    adjust=AdjustBody(
        thirdServerCode="customer-7",
        userName="user-结算-7",
        currency="USD",
        bizType=1,
        operationType="OPEN_POSITION",
        amountDigits=2,
        amount="12.50",
        orderId=4711,
        requestUniqueNo="F-1",
        requestTime=1_760_000_000_000,
        ip="203.0.113.7",
    ),
    trace="trace-7",
    company_id=7,
    accepted_at=NOON,
    policy=QUICK_POLICY,
)


@pytest.mark.parametrize(
    "repeat",
    [
        BASE.model_copy(update={"trace": "another"}),
        BASE.model_copy(update={"accepted_at": NOON + timedelta(hours=1)}),
        BASE.model_copy(update={"policy": QUICK_POLICY.model_copy(update={"expire_after_s": 1.5})}),
    ],
    ids=["trace", "accepted_at", "policy"],
)
def test_a_repeat_has_the_same_fingerprint_although_we_add_other_things_to_it(repeat: SettlementInput) -> None:
    assert repeat != BASE
    assert fingerprint(repeat) == fingerprint(BASE)


@pytest.mark.parametrize("field", [*type(BASE.adjust).model_fields, "company_id"])
def test_a_change_of_any_field_changes_the_fingerprint(field: str) -> None:
    if field == "company_id":
        other = BASE.model_copy(update={"company_id": None})
    else:
        value = getattr(BASE.adjust, field)
        changed = value + 1 if isinstance(value, int) else f"{value or ''}0"
        other = BASE.model_copy(update={"adjust": BASE.adjust.model_copy(update={field: changed})})
    assert fingerprint(other) != fingerprint(BASE)


def test_a_fingerprint_stays_the_same_from_release_to_release() -> None:
    """The ledger keeps fingerprints for years; computed otherwise, every repeat would be refused as another order."""
    assert fingerprint(BASE) == "67d4077d1a8af57e40a086f241378fb9a02b160d3ecc259b16ce00ecc40a63f8"
