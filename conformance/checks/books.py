"""Requirements on the balances of customers, C-080 and C-081: exact amounts, and no movement without a reason."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from conformance.cancelling import account_of, expect_balance, require_plain_cancel
from conformance.kit import Kit
from conformance.orders import Body
from conformance.reading import Answer
from conformance.requirement import NotChecked, requirement
from conformance.target import Meaning, Protocol
from contract.operations import CancelOperation, Operation

_NEEDS = ("--balance-url",)
_EXACT: Sequence[tuple[Sequence[str], int]] = (
    (("0.1", "0.1", "0.1"), 1),
    (("0.01", "0.06"), 2),
    (("7",), 0),
    (("123456789012.345678",), 6),
    (("0.123456789012345678",), 18),
    (("123456789012345678",), 0),
)
"""Amounts of one customer each, and their amountDigits."""


@requirement(
    "C-080",
    title="An adjust moves the balance by exactly its amount, and its cancel moves it back",
    rule=(
        "An adjust adds its amount to the balance, with its sign and without rounding. Its cancel takes exactly this "
        "amount back."
    ),
    why=(
        "In binary floating point 0.1 + 0.1 + 0.1 is not 0.3. Rounding differences add up over thousands of orders, "
        "and then nobody finds the order that caused them. Published case: the index of the Vancouver Stock Exchange "
        "was truncated at each update; after 22 months it showed about half of its real value (1983)."
    ),
    source="docs/contract.md#amounts",
    check=(
        "Sends adjusts of 0.1 three times, of 0.01 and 0.06, of whole numbers, of 18 digits and of 18 decimals, and a "
        "negative one if the external system applies it; and then their cancels. Reads the balance after each "
        "request, and expects it to move by exactly the amount."
    ),
    needs=_NEEDS,
    alone=True,
)
async def exact_amounts(kit: Kit) -> None:
    """Check C-080."""
    if kit.sees_effects:  # so does C-040
        await require_plain_cancel(kit)
    refused = [answer for amounts, digits in _EXACT for answer in await _there_and_back(kit, amounts, digits)]
    await _there_and_back(kit, ("-0.30",), 2, operationType="ABNORMAL_OVERTRADING")
    if refused:
        message = f"{refused[0].exchange.label} is not applied: {refused[0]}. C-010 and C-033 must pass first"
        raise NotChecked(message)


async def _there_and_back(kit: Kit, amounts: Sequence[str], digits: int, **changes: object) -> list[Answer]:
    """Send adjusts of one customer and then their cancels, and expect the balance after each.

    Returns the answers to adjusts that were not applied.
    """
    first = kit.order()
    balance = await kit.balance(first)
    applied, refused = list[Body](), list[Answer]()
    for amount in amounts:
        order = kit.order(**account_of(first), amount=amount, amountDigits=digits, **changes)
        answer = await kit.adjust(order, label=f"an adjust of {amount}")
        if not answer.is_success:
            refused.append(answer)
            continue
        applied.append(order)
        balance += Decimal(amount)
        if await kit.balance(order) != balance:
            await _require_no_neighbours(kit, order)
        await expect_balance(kit, order, balance, f"an adjust of {amount}")
    for order in applied:
        await kit.reversed(order, f"a cancel of {order['amount']}")
        balance -= Decimal(order["amount"])
        await expect_balance(kit, order, balance, f"a cancel of {order['amount']}")
    return refused


async def _require_no_neighbours(kit: Kit, order: Body) -> None:
    """Raise NotChecked if a cancel whose amount differs in the last digit succeeds: that is a finding of C-033."""
    if kit.target.plain_cancel is Operation.CANCEL_OPERATION:
        return
    amount = str(order["amount"])
    neighbour = amount[:-1] + ("1" if amount.endswith("0") else str(int(amount[-1]) - 1))
    wrong = kit.cancel_body(order).but(amount=neighbour.lstrip("-"))
    answer = await kit.cancel_adjust(wrong, label=f"a cancel of {neighbour} instead of {amount}")
    if kit.meaning(answer) is Meaning.REVERSED:
        message = f"{answer.exchange.label} succeeds. C-033 and C-052 must pass first"
        raise NotChecked(message)


@requirement(
    "C-081",
    title="Repeated and refused requests move nothing",
    rule="A repeat of an adjust, and any request that is refused, leave every balance as it was.",
    why=(
        "The reply is only what the external system says; the balance is what the customer has. A handler that books "
        "first and checks afterwards refuses correctly and still moves money."
    ),
    source="docs/contract.md#repeating-an-adjust",
    check=(
        "Sends an adjust and reads the balance. Then it repeats the adjust twice, and sends requests that must be "
        "refused: its number with another amount, invalid fields, wrong cancels, an adjust after its cancel, and the "
        "adjust of `--refused-metadata` or `--refused-customer`. Expects the same balance after each one that is not "
        "answered with code 0."
    ),
    needs=_NEEDS,
    alone=True,
)
async def nothing_moves(kit: Kit) -> None:
    """Check C-081."""
    order = kit.order()
    await kit.applied(order)
    balance = await kit.balance(order)
    for label in ("the same adjust again", "the same adjust a third time"):
        await kit.adjust(order, label=label)
        await _expect_unmoved(kit, order, balance, label, seen_by="C-012 and C-015")
    label = "its number with another amount"
    if (await kit.adjust(order.but(amount="99.00"), label=label)).is_success:
        balance = await kit.balance(order)  # whether it must be refused is a finding of C-016
    else:
        await _expect_unmoved(kit, order, balance, label, seen_by="C-016")
    for label, changes in _refused_adjusts(order).items():
        wrong = order.but(**changes)
        answer = await kit.adjust(wrong, label=label)
        if answer.is_refusal:
            await _require_no_reversal(kit, wrong, balance, label)
        balance = await _expect_unmoved_if_refused(kit, order, balance, answer)
    for label, (operation, body) in _wrong_cancels(kit, order).items():
        balance = await _expect_unmoved_if_refused(kit, order, balance, await kit.call(operation, body, label=label))
    await _dangling_moves_nothing(kit, order, balance)
    await _refused_by_hook_moves_nothing(kit)
    await kit.cancel(order, label="a cancel that clears up")


def _refused_adjusts(order: Body) -> Mapping[str, Mapping[str, object]]:
    """Return the changes of an adjust that must be refused, by their label."""
    new = f"{order.number[:40]}-r"
    return {
        "an adjust with an exponent": {"requestUniqueNo": f"{new}1", "amount": "1e1"},
        "an adjust with a negative amount for OPEN_POSITION": {"requestUniqueNo": f"{new}2", "amount": "-5.00"},
        "an adjust with more decimals than amountDigits": {"requestUniqueNo": f"{new}3", "amount": "1.255"},
        "an adjust with an unknown bizType": {"requestUniqueNo": f"{new}4", "bizType": 99},
        "an adjust without orderId": {"requestUniqueNo": f"{new}5", "orderId": None},
    }


def _wrong_cancels(kit: Kit, order: Body) -> Mapping[str, tuple[CancelOperation, Body]]:
    """Return cancels of an adjust that must be refused, by their label."""
    wrong = dict[str, tuple[CancelOperation, Body]]()
    if kit.target.protocol is not Protocol.CANCEL_OPERATION:
        changes = {"amount": "12.51", "userName": kit.orders.name("other"), "thirdServerCode": kit.orders.name("other")}
        for field, value in changes.items():
            body = kit.cancel_body(order, operation=Operation.CANCEL_ADJUST).but(**{field: value})
            wrong[f"a cancel with another {field}"] = (Operation.CANCEL_ADJUST, body)
        body = kit.cancel_body(order, operation=Operation.CANCEL_ADJUST).but(amount="-12.50")
        wrong["a cancel with a negative amount"] = (Operation.CANCEL_ADJUST, body)
    if kit.target.protocol is not Protocol.CANCEL_ADJUST:
        body = kit.cancel_body(order, operation=Operation.CANCEL_OPERATION).but(reverse_type=2)
        wrong["a cancel operation with a wrong reverse_type"] = (Operation.CANCEL_OPERATION, body)
    return wrong


async def _require_no_reversal(kit: Kit, wrong: Body, balance: Decimal, label: str) -> None:
    """Raise NotChecked if a refused adjust was applied and a cancel of it succeeds: a finding of C-020 to C-029."""
    if await kit.balance(wrong) == balance:
        return
    cancel = await kit.cancel(wrong, label=f"a cancel of {label}")
    if kit.meaning(cancel) is Meaning.REVERSED:
        message = f"{label} is refused and applied: its cancel succeeds. C-020 to C-029 must pass first"
        raise NotChecked(message)


async def _expect_unmoved(kit: Kit, order: Body, balance: Decimal, label: str, seen_by: str) -> None:
    """Expect the same balance. Where the requirements `seen_by` see the balance, too, it is their finding."""
    came = await kit.balance(order, f"the balance after {label}")
    if came != balance and kit.sees_effects:
        message = f"{label} moves the balance from {balance:f} to {came:f}. {seen_by} must pass first"
        raise NotChecked(message)
    kit.expect(came == balance, f"the balance after {label}: expected {balance:f}", f"{came:f}")


async def _expect_unmoved_if_refused(kit: Kit, order: Body, balance: Decimal, answer: Answer) -> Decimal:
    """Expect the same balance, unless the request was accepted; return the balance.

    Whether it must be refused is checked by the requirement that asks for it.
    """
    if answer.is_success:
        return await kit.balance(order)
    await expect_balance(kit, order, balance, answer.exchange.label)
    return balance


async def _dangling_moves_nothing(kit: Kit, order: Body, balance: Decimal) -> None:
    late = kit.order(**account_of(order))
    await kit.cancel(late, label="a cancel before its adjust")
    await expect_balance(kit, order, balance, "a cancel before its adjust")
    await _expect_unmoved_if_refused(kit, order, balance, await kit.adjust(late, label="the adjust after its cancel"))


async def _refused_by_hook_moves_nothing(kit: Kit) -> None:
    if kit.target.refused is None:
        return
    order = kit.order(**kit.target.refused.changes())
    balance = await kit.balance(order)
    label = "an adjust that is to be refused"
    answer = await kit.adjust(order, label=label)
    came = await kit.balance(order, f"the balance after {label}")
    cancel = await kit.cancel(order, label="a cancel of the refused adjust")
    if came != balance and kit.meaning(cancel) is not Meaning.NOT_APPLIED:
        message = f"{label} is applied, and its cancel is answered with {cancel}. C-046 must pass first"
        raise NotChecked(message)
    kit.expect(came == balance or answer.is_success, f"the balance after {label}: expected {balance:f}", f"{came:f}")
