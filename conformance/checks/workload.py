"""Requirement on the balances after a random workload: C-082."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from conformance import cancelling
from conformance.kit import Kit
from conformance.orders import Body
from conformance.reading import Answer
from conformance.requirement import BrokenRequirement, NotChecked, requirement
from conformance.target import Meaning

_CUSTOMERS, _WORKERS, _STORIES_EACH = 2, 6, 10
_FINAL = cancelling.SETTLED | {Meaning.REFUSED}
_REHEARSALS = 4
_CENTS_MAX = 100_000

Story = Callable[[Kit, Body], Awaitable[bool]]
"""Sends the requests of one order; returns whether its adjust stays applied."""


class Part(NamedTuple):
    """One order of the workload, and what happens to it."""

    story: Story
    order: Body


@requirement(
    "C-082",
    title="No money appears or disappears under a mixed workload",
    rule=(
        "After any mixture of adjusts, repeats, cancels and races, the balance is the sum of the adjusts that are "
        "applied and not reversed. When all of them are reversed, it is what it was before."
    ),
    why=(
        "Two requests of one customer that read the same balance and both write it back lose one of the two amounts. "
        "Each reply is correct, so only the sum shows it. Published case: in 2015 Egor Homakov created credit on "
        "Starbucks gift cards with transfers that were sent at the same time."
    ),
    source="docs/contract.md#the-rule",
    check=(
        "Sends adjusts of one customer at the same time, and then their cancels; the balance must be the sum. Then "
        "sends each kind of story four times, one after the other; if the balance is wrong then, another requirement "
        "has failed. Then sends 60 seeded stories for two customers, six at a time and for at most 60 s: adjusts, "
        "repeats at the same time, cancels, cancels at the same time, an adjust that races with its cancel, a cancel "
        "before its adjust. Adds up what must remain, reverses it, and expects the exact balance both times."
    ),
    needs=("--balance-url",),
    alone=True,
)
async def conservation_of_money(kit: Kit) -> None:
    """Check C-082."""
    customers = [kit.order() for _ in range(_CUSTOMERS)]
    await _require_exact_amounts(kit, customers[0])
    if wrong := await cancelling.lost_money(kit, customers[0]):
        raise BrokenRequirement(wrong)
    await _rehearse(kit, customers[0])
    start = [await kit.balance(each) for each in customers]
    plan = [_random_part(kit, customers) for _ in range(_WORKERS * _STORIES_EACH)]
    parts = (plan[number] for number in cancelling.rounds(len(plan)))
    kept = list[Body]()
    await asyncio.gather(*(_work(kit, parts, kept) for _ in range(_WORKERS)))
    for customer, before in zip(customers, start, strict=True):
        await cancelling.expect_balance(kit, customer, before + _sum(kept, customer), "the workload")
    await asyncio.gather(*(_reverse(kit, order) for order in kept))
    for customer, before in zip(customers, start, strict=True):
        await cancelling.expect_balance(kit, customer, before, "the workload and the cancels of all its orders")


async def _work(kit: Kit, parts: Iterator[Part], kept: list[Body]) -> None:
    for part in parts:
        is_kept = await part.story(kit, part.order)
        kept += [part.order] * is_kept


async def _require_exact_amounts(kit: Kit, customer: Body) -> None:
    """Send adjusts and their cancels, one after the other. Raises NotChecked if the balance is not exact."""
    start = wanted = await kit.balance(customer)
    orders = [_order_of(kit, customer, amount) for amount in ("0.10", "0.20", "0.07")]
    for order in orders:
        await kit.applied(order)
        wanted += Decimal(order["amount"])
    middle = await kit.balance(customer)
    for order in orders:
        await kit.reversed(order)
    end = await kit.balance(customer)
    if (middle, end) != (wanted, start):
        came, expected = f"{middle:f} and then {end:f}", f"{wanted:f} and then {start:f}"
        message = f"the balance is {came} instead of {expected}, without other requests. C-080 must pass first"
        raise NotChecked(message)


async def _rehearse(kit: Kit, customer: Body) -> None:
    """Send each story some times, one after the other. Raises NotChecked if the balance is wrong then."""
    for story in list(_STORIES) * _REHEARSALS:
        order = _order_of(kit, customer, "12.50")
        before = await kit.balance(customer)
        is_kept = await story(kit, order)
        wanted = before + (Decimal(order["amount"]) if is_kept else 0)
        came = await kit.balance(customer)
        if is_kept:
            await kit.cancel(order, label="a cancel that clears up")
        if came != wanted:
            message = (
                f"{_STORIES[story]} leaves a balance of {came:f} instead of {wanted:f}, even without other requests. "
                "The requirements C-012, C-013, C-041 to C-047 and C-080 must pass first"
            )
            raise NotChecked(message)


def _random_part(kit: Kit, customers: Sequence[Body]) -> Part:
    random = kit.orders.random
    amount = f"{Decimal(random.randint(1, _CENTS_MAX)) / 100:.2f}"
    return Part(random.choice(list(_STORIES)), _order_of(kit, random.choice(customers), amount))


def _order_of(kit: Kit, customer: Body, amount: str) -> Body:
    return kit.order(**cancelling.account_of(customer), amount=amount)


def _sum(orders: Sequence[Body], customer: Body) -> Decimal:
    code = customer["thirdServerCode"]
    return sum((Decimal(each["amount"]) for each in orders if each["thirdServerCode"] == code), Decimal(0))


async def _adjusted(kit: Kit, order: Body) -> bool:
    return await _stays(kit, order, [await kit.adjust(order)])


async def _repeated(kit: Kit, order: Body) -> bool:
    label = "one of two equal adjusts at the same time"
    return await _stays(kit, order, await asyncio.gather(*(kit.adjust(order, label=label) for _ in range(2))))


async def _cancelled(kit: Kit, order: Body) -> bool:
    await kit.adjust(order)
    return await _reverse(kit, order)


async def _cancelled_at_the_same_time(kit: Kit, order: Body) -> bool:
    await kit.adjust(order)
    body, label = kit.cancel_body(order), "one of three cancels at the same time"
    bodies = (body, body, kit.cancel_body(order))
    await asyncio.gather(*(cancelling.cancel(kit, each, label) for each in bodies))
    return await _reverse(kit, order)


async def _raced(kit: Kit, order: Body) -> bool:
    adjust = kit.adjust(order, label="an adjust at the same time as its cancel")
    await asyncio.gather(adjust, kit.cancel(order, label="its cancel at the same time"))
    return await _reverse(kit, order)


async def _dangling(kit: Kit, order: Body) -> bool:
    await kit.cancel(order, label="a cancel before its adjust")
    await kit.adjust(order, label="the adjust after its cancel")
    return await _reverse(kit, order)


async def _stays(kit: Kit, order: Body, answers: Sequence[Answer]) -> bool:
    """Tell whether an adjust is applied; cancel it as the platform does if no answer says so."""
    return any(answer.is_success for answer in answers) or await _reverse(kit, order)


async def _reverse(kit: Kit, order: Body) -> bool:
    """Cancel an adjust under a new number, a limited number of times; return that it does not stay applied."""
    body = kit.cancel_body(order)
    answer = await cancelling.cancel(kit, body, "the last cancel of an order")
    await cancelling.repeated_until_settled(kit, body, answer, _FINAL)
    return False


_STORIES: Mapping[Story, str] = {
    _adjusted: "an adjust",
    _repeated: "an adjust that is sent twice at the same time",
    _cancelled: "an adjust and its cancel",
    _cancelled_at_the_same_time: "an adjust and several cancels of it",
    _raced: "an adjust at the same time as its cancel",
    _dangling: "an adjust after its cancel",
}
