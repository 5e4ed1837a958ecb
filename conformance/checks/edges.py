"""Values at the edges of what the contract allows: they are accepted exactly."""

from conformance.cancelling import require_plain_cancel
from conformance.kit import Kit
from conformance.orders import Body
from conformance.requirement import NotChecked, requirement
from conformance.target import Meaning
from contract.fields import INT64_MAX, REMARK_LENGTH_MAX, UNIQUE_NO_LENGTH_MAX
from contract.operations import Operation

_BEYOND_DOUBLE = 2**53 + 1
"""The smallest integer that a binary float of 64 bits cannot hold."""
_NAME = "李雷 Zoë Ångström 🙂"
_CHARACTERS = "Aa0-_.:/+=~@#"


async def applied_and_reversed(kit: Kit, order: Body, what: str) -> None:
    """Expect that an adjust is applied and that its cancel reverses it."""
    kit.expect_code(await kit.adjust(order, label=f"an adjust with {what}"), "0")
    answer = await kit.cancel(order, label=f"the cancel of an adjust with {what}")
    kit.expect(kit.meaning(answer) is Meaning.REVERSED, f"{answer.exchange.label}: expected code '0'", answer)


@requirement(
    "C-030",
    title="Unknown fields are tolerated",
    rule="A field or header that the external system does not know does not change its answer.",
    why=(
        "A later version of the platform may send one more field. If every request with it is refused, all orders are "
        "void until the external system is changed."
    ),
    source="docs/contract.md#unknown-fields",
    check="Sends an adjust and its cancel with an unknown field and an unknown header each. Expects code 0.",
)
async def unknown_fields(kit: Kit) -> None:
    """Check C-030."""
    await require_plain_cancel(kit)
    order, headers = kit.order(), {"X-Unknown": "1"}
    answer = await kit.adjust(
        order.but(unknownField={"a": [1]}), label="an adjust with an unknown field", headers=headers
    )
    kit.expect_code(answer, "0")
    body = kit.cancel_body(order).but(unknownField="x")
    label = "its cancel with an unknown field"
    answer = await kit.call(kit.target.plain_cancel, body, label=label, headers=headers)
    kit.expect(kit.meaning(answer) is Meaning.REVERSED, f"{label}: expected code '0'", answer)


@requirement(
    "C-031",
    title="Order ids are exact 64-bit integers",
    rule="orderId is an int64: every value up to 9223372036854775807 is accepted and kept exactly.",
    why="A parser that reads integers as floats gives neighbouring orders the same id, and books one on the other.",
    source="docs/contract.md#table-1",
    check=(
        "Sends adjusts with large orderIds and their cancels; expects code 0. Sends an adjust with the orderId "
        f"{_BEYOND_DOUBLE} and, under the same number, the neighbour {_BEYOND_DOUBLE - 1}, which a float cannot tell "
        "apart; expects a refusal."
    ),
)
async def exact_order_ids(kit: Kit) -> None:
    """Check C-031."""
    await require_plain_cancel(kit)
    for order_id in (2**31, _BEYOND_DOUBLE, INT64_MAX):
        await applied_and_reversed(kit, kit.order(orderId=order_id), f"orderId {order_id}")
    await _require_refusal_of_repeat(kit, kit.order(), "orderId", 1)
    order = kit.order(orderId=_BEYOND_DOUBLE)
    await kit.applied(order)
    what = f"the same number with orderId {_BEYOND_DOUBLE - 1} instead of {_BEYOND_DOUBLE}"
    answer = await kit.adjust(order.but(orderId=_BEYOND_DOUBLE - 1), label=what)
    kit.expect(answer.is_refusal, f"{what}: expected a refusal", answer)


@requirement(
    "C-032",
    title="Numbers of 48 characters and texts in UTF-8 are accepted exactly",
    rule=(
        "requestUniqueNo may have 48 characters; numbers that differ in one character, or only in upper and lower "
        "case, or only in a blank at the end, are different numbers. Names and remarks may hold every character of "
        "Unicode."
    ),
    why=(
        "A database that ignores case or blanks at the end, or that cuts numbers, takes a new order for a repeat. A "
        "name that is stored with question marks does not match its own cancel."
    ),
    source="docs/contract.md#table-1",
    check=(
        "Sends adjusts with such numbers, and with a userName and metadata in Unicode. Sends their cancels, with a "
        "remark in Unicode. Expects code 0 for each."
    ),
)
async def long_numbers_and_unicode(kit: Kit) -> None:
    """Check C-032."""
    await require_plain_cancel(kit)
    stem = (kit.orders.name("n") + _CHARACTERS).ljust(UNIQUE_NO_LENGTH_MAX - 1, "z")[: UNIQUE_NO_LENGTH_MAX - 1]
    for last in ("a", "b", "A", "", " "):
        order = kit.order(requestUniqueNo=stem + last)
        await applied_and_reversed(kit, order, f"the number {order.number!r}")
    order = kit.order(metadata='{"note":"' + _NAME + '"}')
    if kit.target.account.user is None:
        order = order.but(userName=f"{_NAME} {kit.orders.name('u')}"[:UNIQUE_NO_LENGTH_MAX])
    what = "a userName and metadata in Unicode"
    kit.expect_code(await kit.adjust(order, label=f"an adjust with {what}"), "0")
    remark = (_NAME * REMARK_LENGTH_MAX)[:REMARK_LENGTH_MAX]
    field = "cancelRemark" if kit.target.plain_cancel is Operation.CANCEL_ADJUST else "cancel_remark"
    label = "its cancel with a remark of 200 characters in Unicode"
    answer = await kit.call(kit.target.plain_cancel, kit.cancel_body(order).but(**{field: remark}), label=label)
    kit.expect(kit.meaning(answer) is Meaning.REVERSED, f"{label}: expected code '0'", answer)


@requirement(
    "C-033",
    title="Amounts are exact",
    rule=(
        "An amount of 18 digits is kept exactly, with any number of decimals up to amountDigits. Amounts that differ "
        "in the last digit are different amounts."
    ),
    why=(
        "A float holds 15 digits: 9007199254740993 becomes 9007199254740992. The cancel then gives back another amount "
        "than the adjust took, and sums of cents drift."
    ),
    source="docs/contract.md#amounts",
    check=(
        "Sends adjusts of 18 digits, without decimals, and with many decimals, and their cancels; expects code 0. "
        f"Sends an adjust of {_BEYOND_DOUBLE} and, under the same number, its neighbour {_BEYOND_DOUBLE - 1}; expects "
        "a refusal. A cancel adjust of the neighbour must be refused, too, and the correct one answered with `0`."
    ),
)
async def exact_amounts(kit: Kit) -> None:
    """Check C-033."""
    await require_plain_cancel(kit)
    for amount, digits in (
        ("123456789012.345678", 6),
        ("999999999999999999", 0),
        ("0.000000000000000001", 18),
        ("12", 0),
        ("12", 2),
    ):
        order = kit.order(amount=amount, amountDigits=digits)
        await applied_and_reversed(kit, order, f"amount {amount} and amountDigits {digits}")
    await _require_refusal_of_repeat(kit, kit.order(), "amount", "13.50")
    order = kit.order(amount=str(_BEYOND_DOUBLE), amountDigits=0)
    neighbour = str(_BEYOND_DOUBLE - 1)
    await kit.applied(order)
    what = f"the same number with amount {neighbour} instead of {_BEYOND_DOUBLE}"
    answer = await kit.adjust(order.but(amount=neighbour), label=what)
    kit.expect(answer.is_refusal, f"{what}: expected a refusal", answer)
    if kit.target.plain_cancel is Operation.CANCEL_ADJUST:
        await _cancel_of_neighbour(kit, order, neighbour)


async def _cancel_of_neighbour(kit: Kit, order: Body, neighbour: str) -> None:
    """Expect that a cancel with the neighbouring amount is refused, and that the correct one is not."""
    other = kit.order()
    await kit.applied(other)
    answer = await kit.cancel_adjust(kit.cancel_body(other).but(amount="13.50"), label="a cancel with another amount")
    if not answer.is_refusal:
        message = f"a cancel with another amount is not refused: {answer}. C-052 must pass first"
        raise NotChecked(message)
    what = f"a cancel with amount {neighbour} instead of {order['amount']}"
    answer = await kit.cancel_adjust(kit.cancel_body(order).but(amount=neighbour), label=what)
    kit.expect(kit.meaning(answer) is not Meaning.REVERSED, f"{what}: expected a refusal", answer)
    await kit.reversed(order, "the correct cancel")


async def _require_refusal_of_repeat(kit: Kit, order: Body, name: str, value: object) -> None:
    """Raise NotChecked unless a used number with a clearly different value of a field is refused."""
    await kit.applied(order)
    answer = await kit.adjust(order.but(**{name: value}), label=f"the same number with another {name}")
    if not answer.is_refusal:
        message = f"the same number with another {name} is not refused: {answer}. C-016 must pass first"
        raise NotChecked(message)
