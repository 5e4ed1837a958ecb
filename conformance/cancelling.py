"""Steps and expectations that several checks of cancels share."""

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal

from conformance.kit import PLAIN_CANCEL, Kit
from conformance.orders import Body
from conformance.reading import Answer
from conformance.requirement import NotChecked
from conformance.target import Meaning

DANGLING = "C-045"
"""The requirement on which the checks of races rely: the number of a cancelled adjust is burnt."""
SETTLED = frozenset({Meaning.REVERSED, Meaning.NOT_APPLIED, Meaning.NEVER_RECEIVED})
"""What ends a compensation (docs/contract.md#cancel-replies)."""
CONCURRENT_ORDERS = 6
ROUNDS_LIMIT_S = 60.0
"""After this time a check with many rounds starts no further one: a slow endpoint must not use up the whole run."""
ATTEMPTS_MAX, ATTEMPT_PAUSE_S = 6, 0.5
"""How often a cancel is sent until it settles, and the pause between two attempts."""


async def cancel(kit: Kit, body: Body, label: str, headers: dict[str, str] | None = None) -> Answer:
    """Send a cancel body by the operation that this external system has."""
    return await kit.call(kit.target.plain_cancel, body, label=label, headers=headers)


def rounds(count: int) -> Iterator[int]:
    """Count rounds from 0, at most `count` and for at most `ROUNDS_LIMIT_S` seconds, but one in any case."""
    started = time.monotonic()
    for number in range(count):
        if number and time.monotonic() - started > ROUNDS_LIMIT_S:
            return
        yield number


def expect_reversed(kit: Kit, answer: Answer) -> None:
    """Expect that a cancel is answered with success."""
    kit.expect(
        kit.meaning(answer) is Meaning.REVERSED, f"{answer.exchange.label}: expected success, which is code '0'", answer
    )


def expect_not_reversed(kit: Kit, answer: Answer) -> None:
    """Expect any reply to a cancel but success."""
    kit.expect(
        kit.meaning(answer) is not Meaning.REVERSED, f"{answer.exchange.label}: expected any code but '0'", answer
    )


def expect_refused(kit: Kit, answer: Answer) -> None:
    """Expect a refusal: a code that settles no cancel, or an HTTP status from 400 to 499 without a code."""
    is_refused = answer.is_refusal and kit.meaning(answer) in {None, Meaning.REFUSED}
    expected = "expected a refusal, with another code than '0', 'US_0000001' and 'US_0000002'"
    kit.expect(is_refused, f"{answer.exchange.label}: {expected}", answer)


async def require_plain_cancel(kit: Kit) -> None:
    """Send an adjust and its cancel. Raises NotChecked if the cancel does not reverse it."""
    order = kit.order()
    await kit.applied(order, "an adjust to begin with")
    before = await seen_balance(kit, order)
    await kit.reversed(order)
    wanted = None if before is None else before - Decimal(order["amount"])
    await _require_balance(kit, order, wanted, "a cancel", PLAIN_CANCEL)


async def require_repeated_cancels(kit: Kit) -> None:
    """Send cancels of one adjust, one after the other. Raises NotChecked if they fail or move the balance twice."""
    order = kit.order()
    start = await seen_balance(kit, order)
    await kit.applied(order, "an adjust to begin with")
    body = kit.cancel_body(order)
    for each in (body, body, kit.cancel_body(order)):
        answer = await cancel(kit, each, "one of several cancels, one after the other")
        if kit.meaning(answer) is not Meaning.REVERSED:
            message = f"{answer.exchange.label} fails: {answer}. C-040, C-041 and C-042 must pass first"
            raise NotChecked(message)
    await _require_balance(kit, order, start, "several cancels, one after the other", "C-040, C-041, C-042 and C-080")


async def _require_balance(kit: Kit, order: Body, wanted: Decimal | None, after: str, ids: str) -> None:
    if wanted is not None and (came := await kit.balance(order, f"the balance after {after}")) != wanted:
        message = f"the balance after {after} is {came:f} instead of {wanted:f}. {ids} must pass first"
        raise NotChecked(message)


async def lost_money(kit: Kit, customer: Body) -> str | None:
    """Send several adjusts of one customer at the same time, and then their cancels at the same time.

    Returns what is wrong with the balance after either; None if it is the sum.
    """
    orders = [kit.order(**account_of(customer)) for _ in range(CONCURRENT_ORDERS)]
    start = await kit.balance(customer)
    answers = await asyncio.gather(*(kit.adjust(each, label="an adjust beside others") for each in orders))
    applied = sum(Decimal(each["amount"]) for each, answer in zip(orders, answers, strict=True) if answer.is_success)
    middle = await kit.balance(customer, "the balance after adjusts at the same time")
    await asyncio.gather(*(kit.cancel(each, label="a cancel beside others") for each in orders))
    end = await kit.balance(customer, "the balance after cancels at the same time")
    for what, wanted, came in (("adjusts", start + applied, middle), ("cancels", start, end)):
        if came != wanted:
            return f"the balance after {what} of one customer at the same time: expected {wanted:f}; came: {came:f}"
    return None


def account_of(order: Body) -> dict[str, str]:
    """Return the fields that make another order one of the same customer."""
    return {name: order[name] for name in ("thirdServerCode", "userName")}


def require_reversed(kit: Kit, answer: Answer) -> None:
    """Raise NotChecked unless a cancel on which the check relies is answered with success."""
    if kit.meaning(answer) is not Meaning.REVERSED:
        message = f"{answer.exchange.label} does not reverse the adjust: {answer}. {PLAIN_CANCEL} must pass first"
        raise NotChecked(message)


async def cancel_of_refused_succeeds(kit: Kit) -> bool:
    """Tell whether the cancel of a refused adjust (`Target.refused`) is answered with success; False without one."""
    if kit.target.refused is None:
        return False
    order = kit.order(**kit.target.refused.changes())
    adjust = await kit.adjust(order, label="an adjust that is to be refused")
    answer = await kit.cancel(order, label="a cancel of the refused adjust")
    return adjust.is_refusal and kit.meaning(answer) is Meaning.REVERSED


async def require_burnt_numbers(kit: Kit) -> None:
    """Send a cancel, its adjust and a later cancel. Raises NotChecked if one of the last two succeeds."""
    order = kit.order()
    await kit.cancel(order, label="a cancel before its adjust")
    answer = await kit.adjust(order, label="the adjust after its cancel")
    later = await kit.cancel(order, label="a later cancel under a new number")
    if answer.is_success or kit.meaning(later) is Meaning.REVERSED:
        message = (
            f"an adjust or its cancel succeeds after a first cancel, even without a race. {DANGLING} must pass first"
        )
        raise NotChecked(message)


async def until_settled(kit: Kit, body: Body, first: Answer) -> Answer:
    """Repeat a cancel until its reply ends the compensation, and return that reply.

    Raises BrokenRequirement after `ATTEMPTS_MAX` attempts.
    """
    answer = await repeated_until_settled(kit, body, first)
    expected = f"expected code '0', 'US_0000001' or 'US_0000002' within {ATTEMPTS_MAX} attempts"
    kit.expect(kit.meaning(answer) in SETTLED, f"{first.exchange.label}: {expected}", answer)
    return answer


async def repeated_until_settled(kit: Kit, body: Body, first: Answer, final: frozenset[Meaning] = SETTLED) -> Answer:
    """Repeat a cancel as the platform does, until its reply is one of `final`; return the last reply."""
    answer, label = first, f"{first.exchange.label}, again"
    for _ in range(ATTEMPTS_MAX - 1):
        if kit.meaning(answer) in final:
            break
        await kit.pause(ATTEMPT_PAUSE_S)
        answer = await cancel(kit, body, label)
    return answer


async def seen_balance(kit: Kit, order: Body) -> Decimal | None:
    """Return the balance of an order's customer; None if it does not show the effects of this check alone."""
    return await kit.balance(order) if kit.sees_effects else None


async def expect_balance(kit: Kit, order: Body, wanted: Decimal | None, after: str) -> None:
    """Expect a balance after some requests. None: the balance cannot be seen."""
    if wanted is not None:
        came = await kit.balance(order, f"the balance after {after}")
        kit.expect(came == wanted, f"the balance after {after}: expected {wanted:f}", f"{came:f}")
