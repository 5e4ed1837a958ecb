"""Requirements on requests that arrive at the same time: C-043, C-047, C-048."""

import asyncio
from decimal import Decimal

from conformance import cancelling
from conformance.kit import Kit
from conformance.orders import Body
from conformance.reading import Answer
from conformance.requirement import NotChecked, requirement
from conformance.target import Meaning

_COPIES = 2
"""How many cancels have the same number, and how many have numbers of their own, in one round of C-043."""
_SPREAD_MIN_S, _SPREAD_MAX_S = 0.002, 0.25
"""Bounds of the delay between an adjust and its cancel in C-047."""
_IN_PROCESS_S = 0.3
"""How long after its adjust the cancel of C-048 is sent."""
_NOTHING_TO_REVERSE = frozenset({Meaning.NOT_APPLIED, Meaning.NEVER_RECEIVED})


@requirement(
    "C-043",
    title="Concurrent cancels of one adjust all succeed and reverse it once",
    rule=(
        "Cancels of an applied adjust that arrive at the same time, under one number and under several, are all "
        "answered with success. The amount is given back once."
    ),
    why=(
        "A retry of the platform can overtake a slow first attempt. If both read the state before one of them writes "
        "it, the amount is given back twice. If one of them fails on a lock or a unique index, the operator gets an "
        "alarm although nothing is wrong. Published case: the exchange Flexcoin closed in 2014 after simultaneous "
        "transfer requests had overdrawn accounts before the balances were updated; 896 bitcoins were stolen."
    ),
    source="docs/contract.md#table-2",
    check=(
        "In each round (a quarter of `--races`, for at most 60 s) sends an adjust, and then at the same time two "
        "cancels under one number and two under numbers of their own. Expects code 0 for all. With `--balance-url` the "
        "balance must be as before the adjust."
    ),
)
async def concurrent_cancels(kit: Kit) -> None:
    """Check C-043."""
    await cancelling.require_repeated_cancels(kit)
    for _ in cancelling.rounds(max(1, kit.target.races // 4)):
        order = kit.order()
        start = await cancelling.seen_balance(kit, order)
        await kit.applied(order)
        same = kit.cancel_body(order)
        bodies = [same] * _COPIES + [kit.cancel_body(order) for _ in range(_COPIES)]
        label = "one of several cancels at the same time"
        answers = await asyncio.gather(*(cancelling.cancel(kit, body, label) for body in bodies))
        for answer in answers:
            cancelling.expect_reversed(kit, answer)
        await cancelling.expect_balance(kit, order, start, "concurrent cancels")


@requirement(
    "C-047",
    title="A cancel that races with its adjust ends consistently",
    rule=(
        "If an adjust and its cancel arrive at the same time, the external system handles one after the other. Either "
        "the adjust is applied and the cancel reverses it, or the cancel finds nothing and the adjust is refused. A "
        "cancel may first be answered as still in process."
    ),
    why=(
        "The platform sends the cancel as soon as the 3 seconds are over, often while the adjust is being handled. If "
        "the cancel finds nothing because the adjust is not stored yet, and the adjust is then applied, nobody "
        "cancels it again. Published case: the paper ACIDRain (Warszawski and Bailis, 2017) found 22 attacks on 12 "
        "shop systems that exploit such races."
    ),
    source="docs/contract.md#dangling-actions",
    check=(
        "In each of `--races` rounds (for at most 60 s) sends an adjust and its cancel at nearly the same time, in a "
        "seeded order and with a seeded delay. The cancel is repeated until it settles, at most 6 times. If it found "
        "nothing, the adjust must not be answered with code 0, nor a later cancel. With `--balance-url` the balance "
        "must be as before."
    ),
)
async def cancel_races_with_its_adjust(kit: Kit) -> None:
    """Check C-047."""
    await cancelling.require_burnt_numbers(kit)
    await cancelling.require_plain_cancel(kit)
    plain = kit.order()
    if kit.sees_effects and (wrong := await cancelling.lost_money(kit, plain)):
        message = f"{wrong}. C-082 must pass first"
        raise NotChecked(message)
    spread_s = min(max((await kit.applied(plain)).exchange.elapsed_s, _SPREAD_MIN_S), _SPREAD_MAX_S)
    await kit.reversed(plain)
    for _ in cancelling.rounds(kit.target.races):
        await _race(kit, kit.orders.random.uniform(-spread_s, spread_s))


async def _race(kit: Kit, cancel_after_s: float) -> None:
    """Send an adjust, and its cancel some seconds later or earlier; check the end."""
    order = kit.order()
    body = kit.cancel_body(order)
    start = await cancelling.seen_balance(kit, order)

    async def send_cancel() -> Answer:
        await asyncio.sleep(max(0.0, cancel_after_s))
        return await cancelling.cancel(kit, body, "a cancel at the same time")

    async def send_adjust() -> Answer:
        await asyncio.sleep(max(0.0, -cancel_after_s))
        return await kit.adjust(order, label="an adjust at the same time")

    adjust, cancel = await asyncio.gather(send_adjust(), send_cancel())
    await _expect_consistent_end(kit, order, body, adjust=adjust, cancel=cancel, start=start)


async def _expect_consistent_end(  # noqa: PLR0913 - the facts of one race
    kit: Kit, order: Body, body: Body, *, adjust: Answer, cancel: Answer, start: Decimal | None
) -> None:
    """Expect that an adjust and its cancel, both answered, leave the balance as it was, and agree about it."""
    settled = await cancelling.until_settled(kit, body, cancel)
    if kit.meaning(settled) in _NOTHING_TO_REVERSE:
        found = f"the cancel was answered with {settled}"
        kit.expect(not adjust.is_success, f"{found}, so its adjust must be refused", f"the adjust with {adjust}")
        later = await kit.cancel(order, label="a later cancel under a new number")
        is_reversed = kit.meaning(later) is Meaning.REVERSED
        kit.expect(not is_reversed, f"{found}, so a later cancel must find nothing", f"the later cancel with {later}")
    await cancelling.expect_balance(kit, order, start, "an adjust and its cancel")


@requirement(
    "C-048",
    title="A cancel that arrives while its adjust is in process ends consistently",
    rule=(
        "A cancel that arrives while its adjust is still in process waits for it, or is answered as still in process, "
        "or stops it. If it is answered with US_0000001 or US_0000002, the adjust is not applied later."
    ),
    why=(
        "This is the normal case of a time-out: the adjust takes longer than 3 seconds, and the cancel arrives before "
        "its end. An external system that looks for a finished adjust finds none, answers US_0000002, and then "
        "finishes the adjust. The user has no order, and the customer's credit is wrong."
    ),
    source="docs/contract.md#confirming-cancel",
    check=(
        "Sends an adjust that this broker applies slowly (`--slow-metadata` or `--slow-customer`), and 0.3 s later its "
        "cancel. The cancel is repeated after the adjust has ended until it settles, at most 6 times. If it found "
        "nothing, the adjust must not be answered with code 0, nor a later cancel. With `--balance-url` the balance "
        "must be as before."
    ),
    needs=("--slow-metadata or --slow-customer",),
)
async def cancel_while_in_process(kit: Kit) -> None:
    """Check C-048."""
    await cancelling.require_burnt_numbers(kit)
    await cancelling.require_plain_cancel(kit)
    order = kit.order(**(kit.target.slow.changes() if kit.target.slow else {}))
    body = kit.cancel_body(order)
    start = await cancelling.seen_balance(kit, order)
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(kit.adjust(order, label="an adjust that is applied slowly"))
        await asyncio.sleep(_IN_PROCESS_S)
        cancel = await cancelling.cancel(kit, body, "a cancel while its adjust is in process")
    adjust = slow.result()
    await _expect_consistent_end(kit, order, body, adjust=adjust, cancel=cancel, start=start)
    if 0 < adjust.exchange.elapsed_s < _IN_PROCESS_S:  # 0: nothing was sent, the reply is imagined
        message = f"the adjust of `--slow-metadata` or `--slow-customer` was answered within {_IN_PROCESS_S} s"
        raise NotChecked(message)
