"""Amounts and lengths that break a rule: they are refused, and they change nothing."""

from conformance.cancelling import require_plain_cancel
from conformance.checks.validation import refused
from conformance.kit import Kit
from conformance.orders import Body
from conformance.requirement import requirement
from contract.fields import REMARK_LENGTH_MAX, UNIQUE_NO_LENGTH_MAX
from contract.operations import Operation

_AMOUNTS = "docs/contract.md#amounts"
_REFUSED = "Expects a refusal of each, and that a correct cancel under the same number is not answered with `0`."
_NOT_PLAIN = (
    "1.25e1", "12.50E0", "+12.50", " 12.50", "12.50 ", "12.50\n", "012.50", "12,50", "1,250", "12.", ".5", "1_2.50",
    "0x0c", "\uff11\uff12.50", "12.50USD", "NaN", "Infinity", "--12.50", "",
)  # fmt: skip


@requirement(
    "C-024",
    title="An amount that is not a plain decimal string is refused",
    rule=(
        "amount is a JSON string with a plain decimal: digits, at most one point, and a minus only where the contract "
        "asks for it. No exponent, no plus, no blanks, no NaN, and no JSON number."
    ),
    why=(
        "Parsers disagree about such texts: 1,250 is 1250 or 1.25. A JSON number becomes a binary float, and 0.1 three "
        "times is no longer 0.3."
    ),
    source=_AMOUNTS,
    check=f"Sends adjusts with other spellings of amounts, and with JSON numbers. {_REFUSED}",
)
async def not_plain_decimal(kit: Kit) -> None:
    """Check C-024."""
    await require_plain_cancel(kit)
    for amount in (*_NOT_PLAIN, 12.5, 12):
        await refused(kit, f"an adjust with amount {amount!r}", {"amount": amount})


@requirement(
    "C-025",
    title="An amount with more decimals than amountDigits is refused",
    rule="The amount has at most amountDigits decimals. amountDigits is not negative.",
    why="If the external system rounds instead, both sides hold different amounts. The cancel gives back another one.",
    source=_AMOUNTS,
    check=f"Sends adjusts whose amount has more decimals than amountDigits, and a negative amountDigits. {_REFUSED}",
)
async def too_many_decimals(kit: Kit) -> None:
    """Check C-025."""
    await require_plain_cancel(kit)
    for amount, digits in (("12.505", 2), ("12.5", 0), ("0.001", 2), ("12", -1)):
        what = f"an adjust with amount {amount} and amountDigits {digits}"
        await refused(kit, what, {"amount": amount, "amountDigits": digits}, {"amount": amount, "amountDigits": 3})


@requirement(
    "C-026",
    title="A text that is longer than its limit is refused",
    rule=(
        "userName and requestUniqueNo have at most 48 characters, currency 16, metadata and cancelRemark 200. "
        "A longer text is refused, never cut."
    ),
    why="If numbers are cut to the length of a column, two orders have the same number, and the second is lost.",
    source="docs/contract.md#table-1",
    check=(
        f"Sends adjusts with a text of one character more than allowed. {_REFUSED} Then sends a cancel adjust with a "
        "longer remark; the correct cancel after it must be answered with `0`."
    ),
)
async def too_long(kit: Kit) -> None:
    """Check C-026."""
    await require_plain_cancel(kit)
    note = '{"note":"' + "x" * (REMARK_LENGTH_MAX - len('{"note":""}') + 1) + '"}'
    long_name = kit.orders.name("u").ljust(UNIQUE_NO_LENGTH_MAX + 1, "x")
    for name, value in (("userName", long_name), ("metadata", note), ("currency", "USD".ljust(17, "D"))):
        await refused(kit, f"an adjust with a {name} of {len(value)} characters", {name: value})
    await _number_is_not_cut(kit)
    if kit.target.plain_cancel is not Operation.CANCEL_ADJUST:
        return
    order = kit.order()
    await kit.applied(order)
    what = f"a cancel with a remark of {REMARK_LENGTH_MAX + 1} characters"
    body = kit.cancel_body(order).but(cancelRemark="x" * (REMARK_LENGTH_MAX + 1))
    answer = await kit.cancel_adjust(body, label=what)
    kit.expect(answer.is_refusal, f"{what}: expected a refusal", answer)
    await kit.reversed(order, "the correct cancel")


async def _number_is_not_cut(kit: Kit) -> None:
    """Expect that a number of 49 characters is refused, and that it is not taken for its first 48."""
    number = kit.orders.name("n").ljust(UNIQUE_NO_LENGTH_MAX, "x")
    order = kit.order(requestUniqueNo=number)
    what = f"an adjust with a requestUniqueNo of {UNIQUE_NO_LENGTH_MAX + 1} characters"
    answer = await kit.adjust(Body({**order.fields, "requestUniqueNo": f"{number}y"}), label=what)
    await kit.refused_without_effect(order, answer, what)
