"""Repeats of an adjust: the same request again is answered again and applied once."""

import asyncio
from decimal import Decimal

from conformance.cancelling import require_plain_cancel
from conformance.kit import Kit
from conformance.orders import Body, now_ms
from conformance.requirement import NotChecked, requirement
from conformance.target import Meaning

CONCURRENT = 10
_SOURCE = "docs/contract.md#repeating-an-adjust"


async def balance_before(kit: Kit, order: Body) -> Decimal | None:
    """Return the balance of an order's customer; None if the check cannot see its own effects."""
    return await kit.balance(order, "the balance before") if kit.sees_effects else None


async def require_repeats(kit: Kit) -> None:
    """Send an adjust twice. Raises NotChecked if the second one is not answered as a repeat and applied once."""
    order, headers = kit.order(), _fixed_headers(kit)
    before = await balance_before(kit, order)
    await kit.applied(order, headers=headers)
    answer = await kit.adjust(order, label="the same adjust again", headers=headers)
    if not answer.is_success:
        message = f"the same adjust again is not answered as a repeat: {answer}. C-012 must pass first"
        raise NotChecked(message)
    await kit.reversed(order)
    if before is not None and await kit.balance(order, "the balance after the cancel") != before:
        message = "the same adjust again is applied twice. C-012 must pass first"
        raise NotChecked(message)


async def expect_one_effect(kit: Kit, order: Body, before: Decimal | None) -> None:
    """Expect that one cancel undoes everything that was sent under the number of `order`."""
    answer = await kit.cancel(order)
    is_reversed = kit.meaning(answer) is Meaning.REVERSED
    kit.expect(is_reversed, "the cancel of the adjust: expected success, which is code '0'", answer)
    if before is not None:
        after = await kit.balance(order, "the balance after the cancel")
        kit.expect(after == before, f"the balance after one cancel: expected {before}, as before the adjust", after)


@requirement(
    "C-012",
    title="The same adjust again gets the same answer and is applied once",
    rule=(
        "An adjust whose number was used before by the same request is a repeat. It gets the code of the first reply "
        "and changes nothing."
    ),
    why=(
        "A request is repeated when its reply was lost. If the repeat is applied, the customer is charged twice. "
        "If it is refused, a successful order looks like a failed one."
    ),
    source=_SOURCE,
    check=(
        "Sends an adjust and, byte for byte, the same adjust again. Expects the same code. Then one cancel must be "
        "enough; with `--balance-url` the balance shows it."
    ),
)
async def same_adjust_again(kit: Kit) -> None:
    """Check C-012."""
    await require_plain_cancel(kit)
    order, headers = kit.order(), _fixed_headers(kit)
    before = await balance_before(kit, order)
    first = await kit.applied(order, headers=headers)
    kit.expect_code(await kit.adjust(order, label="the same adjust again", headers=headers), str(first.code))
    await expect_one_effect(kit, order, before)


@requirement(
    "C-013",
    title="The same adjust several times at once is applied once",
    rule=(
        "Concurrent repeats of an adjust have one effect. Each is answered with code `0`, or with a code that is "
        "declared as in process (`--code` CODE=in-process), and at least one with `0`."
    ),
    why=(
        "A check of the number before the insert is not enough: two requests at once both find nothing and are both "
        "applied. This is the usual cause of double charges behind a load balancer."
    ),
    source=_SOURCE,
    check=(
        f"Sends the same adjust {CONCURRENT} times at once. Then one cancel must be enough; with `--balance-url` the "
        "balance shows it."
    ),
)
async def same_adjust_at_once(kit: Kit) -> None:
    """Check C-013."""
    await require_repeats(kit)
    order, headers = kit.order(), _fixed_headers(kit)
    before = await balance_before(kit, order)
    calls = [kit.adjust(order, label=f"the same adjust, {n + 1}", headers=headers) for n in range(CONCURRENT)]
    answers = await asyncio.gather(*calls)
    for answer in answers:
        is_answered = answer.is_success or kit.meaning(answer) is Meaning.IN_PROCESS
        kit.expect(is_answered, f"{answer.exchange.label} of {CONCURRENT} at once: expected code '0'", answer)
    kit.expect(any(answer.is_success for answer in answers), "the same adjust at once: expected one code '0'", "none")
    await expect_one_effect(kit, order, before)


@requirement(
    "C-014",
    title="The same adjust a minute later is still a repeat",
    rule="A repeat is recognised whenever it comes, not only for some seconds.",
    why=(
        "A number in a cache that expires protects against fast repeats only. An operator or a recovered process "
        "repeats a request minutes later, and the customer is charged twice."
    ),
    source=_SOURCE,
    check="Sends an adjust, waits (`--repeat-after-s`), and goes on as C-012.",
)
async def same_adjust_later(kit: Kit) -> None:
    """Check C-014."""
    await require_repeats(kit)
    order, headers = kit.order(), _fixed_headers(kit)
    before = await balance_before(kit, order)
    first = await kit.applied(order, headers=headers)
    await kit.pause(kit.target.repeat_after_s)
    label = f"the same adjust after {kit.target.repeat_after_s:g} s"
    kit.expect_code(await kit.adjust(order, label=label, headers=headers), str(first.code))
    await expect_one_effect(kit, order, before)


@requirement(
    "C-015",
    title="A repeat is recognised by its number, never by its trace",
    rule=(
        "Two adjusts with different numbers are two requests, even if they have the same trace. The same number with "
        "another trace is a repeat."
    ),
    why=(
        "A trace follows one order through both systems. If it decides, the second adjust of an order is lost, or a "
        "repeat with a new trace is charged again."
    ),
    source=_SOURCE,
    check=(
        "Sends two adjusts with one trace; both must be applied, and a cancel of each must be answered with 0. Then "
        "sends an adjust twice with two traces, as C-012."
    ),
)
async def by_number_not_by_trace(kit: Kit) -> None:
    """Check C-015."""
    await require_repeats(kit)
    headers = {"trace": kit.orders.name("trace")}
    first, second, third = kit.order(), kit.order(), kit.order()
    await kit.applied(first, headers=headers)
    label = "another adjust with the same trace"
    kit.expect_code(await kit.adjust(second, label=label, headers=headers), "0")
    for order, what in ((first, "the first adjust"), (second, label)):
        answer = await kit.cancel(order, label=f"the cancel of {what}")
        kit.expect(kit.meaning(answer) is Meaning.REVERSED, f"the cancel of {what}: expected code '0'", answer)
    before = await balance_before(kit, third)
    await kit.applied(third)
    kit.expect_code(await kit.adjust(third, label="the same adjust with another trace"), "0")
    await expect_one_effect(kit, third, before)


@requirement(
    "C-016",
    title="A used number with another body is refused and changes nothing",
    rule=(
        "A request under a used number is refused if thirdServerCode, userName, currency, bizType, operationType, "
        "amount, orderId or the company differ. The first request stays as it is."
    ),
    why=(
        "If such a request is answered with `0` as a repeat, an order counts as paid that was never charged. If it is "
        "applied, one number stands for two amounts and its cancel gives back the wrong one."
    ),
    source=_SOURCE,
    check=(
        "Sends an adjust, then one for each of these fields under the same number with another value. Expects a "
        "refusal of each. Then the cancel of the first must be answered with 0; with `--balance-url` the balance is "
        "as before."
    ),
)
async def used_number_with_another_body(kit: Kit) -> None:
    """Check C-016."""
    await require_plain_cancel(kit)
    order, headers = kit.order(), _fixed_headers(kit)
    before = await balance_before(kit, order)
    await kit.applied(order, headers=headers)
    other_currency = "EUR" if order["currency"] != "EUR" else "USD"
    changes: dict[str, object] = {
        "thirdServerCode": kit.orders.name("c"),
        "userName": kit.orders.name("u"),
        "currency": other_currency,
        "bizType": 12,
        "operationType": "NORMAL_CLOSE",
        "amount": "12.51",
        "orderId": order["orderId"] + 1,
    }
    for name, value in changes.items():
        label = f"the same number with another {name}"
        answer = await kit.adjust(order.but(**{name: value}), label=label, headers=headers)
        kit.expect(answer.is_refusal, f"the same number with another {name}: expected a refusal", answer)
    if kit.target.company is not None:
        other = {**headers, "companyId": str(kit.target.company + 1)}
        answer = await kit.adjust(order, label="the same number with another companyId", headers=other)
        kit.expect(answer.is_refusal, "the same number with another companyId: expected a refusal", answer)
    await expect_one_effect(kit, order, before)


@requirement(
    "C-017",
    title="A repeat may differ in requestTime, ip, metadata and the spelling of the amount",
    rule=(
        "requestTime, ip and metadata describe the sending, not the order: a repeat with other values is a repeat. "
        "Amounts are compared as numbers: 12.5 and 12.50 are the same."
    ),
    why="If a repeat is refused because its time has changed, a successful order looks like a failed one.",
    source=_SOURCE,
    check=(
        "Sends an adjust, and repeats with another requestTime, another ip, metadata, and other spellings of the "
        "amount. Expects code 0 for each; then one cancel must be enough, as in C-012."
    ),
)
async def repeat_with_differences(kit: Kit) -> None:
    """Check C-017."""
    await require_repeats(kit)
    order, headers = kit.order(), _fixed_headers(kit)
    before = await balance_before(kit, order)
    await kit.applied(order, headers=headers)
    repeats: tuple[tuple[str, dict[str, object]], ...] = (
        ("another requestTime", {"requestTime": order["requestTime"] + 1_000}),
        ("another ip", {"ip": "2001:db8::7"}),
        ("metadata", {"metadata": '{"note":"repeat"}'}),
        ("the amount 12.5", {"amount": "12.5"}),
        ("the amount 12.500 and amountDigits 3", {"amount": "12.500", "amountDigits": 3}),
    )
    for what, changes in repeats:
        label = f"the same adjust with {what}"
        answer = await kit.adjust(order.but(**changes), label=label, headers=headers)
        kit.expect_code(answer, "0")
    await expect_one_effect(kit, order, before)


def _fixed_headers(kit: Kit) -> dict[str, str]:
    """Return the headers that make a repeat equal byte for byte."""
    return {"trace": kit.orders.name("trace"), "timestamp": str(now_ms())}
