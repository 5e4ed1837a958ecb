"""Requirements on cancels that contradict their adjust, C-052 to C-054, and on the sign of their amount, C-055."""

from collections.abc import Mapping

from conformance import cancelling
from conformance.kit import Kit
from conformance.requirement import requirement
from contract.operations import Operation

_CHECK = (
    " Expects a refusal: a code that is none of 0, US_0000001 and US_0000002. Then "
    "the correct cancel must be answered with code 0."
)
_OTHER_CURRENCIES = ("EUR", "USD")


async def _is_refused(kit: Kit, wrong: Mapping[str, Mapping[str, object]]) -> None:
    """Send an adjust, one wrong cancel for each label with these changes, and then the correct cancel."""
    await cancelling.require_plain_cancel(kit)
    order = kit.order()
    await kit.applied(order)
    for label, changes in wrong.items():
        body = kit.cancel_body(order).but(**changes)
        cancelling.expect_refused(kit, await cancelling.cancel(kit, body, label))
    cancelling.expect_reversed(kit, await kit.cancel(order, label="the correct cancel after a refused one"))


@requirement(
    "C-052",
    title="A cancel with another amount is refused",
    rule=(
        "A cancel adjust whose amount differs from the absolute value of its adjust's amount is refused and changes "
        "nothing. The two are compared as numbers."
    ),
    why=(
        "There are no partial cancels. If the external system gives back the amount of the cancel, the customer gains "
        "or loses the difference. If it answers 0 and gives back the other amount, two books disagree about one "
        "order."
    ),
    source="docs/contract.md#amounts",
    check="Sends an adjust of 12.50, and cancels of it with 12.51, 12.49 and 1250.00." + _CHECK,
    needs=("--protocol cancel-adjust",),
)
async def other_amount(kit: Kit) -> None:
    """Check C-052."""
    amounts = ("12.51", "12.49", "1250.00")
    await _is_refused(kit, {f"a cancel with the amount {amount}": {"amount": amount} for amount in amounts})


@requirement(
    "C-053",
    title="A cancel with another currency is refused",
    rule="A cancel adjust whose currency differs from that of its adjust is refused and changes nothing.",
    why=(
        "12.50 of another currency is another amount of money. If the external system gives it back to the account in "
        "the other currency, two of the customer's accounts are wrong."
    ),
    source="docs/contract.md#table-2",
    check="Sends an adjust, and a cancel of it with another currency of ISO 4217." + _CHECK,
    needs=("--protocol cancel-adjust",),
)
async def other_currency(kit: Kit) -> None:
    """Check C-053."""
    other = next(each for each in _OTHER_CURRENCIES if each != kit.target.account.currency)
    await _is_refused(kit, {f"a cancel with the currency {other}": {"currency": other}})


@requirement(
    "C-054",
    title="A cancel of another user or customer is refused",
    rule="A cancel whose userName or thirdServerCode differs from that of its adjust is refused and changes nothing.",
    why=(
        "If the external system gives the amount back to the customer whom the cancel names, one customer is paid "
        "with the money of another one. If it only looks at the number, a mistake in the platform's data stays "
        "hidden."
    ),
    source="docs/contract.md#table-2",
    check=(
        "Sends an adjust, a cancel of it with another user, and a cancel adjust of it with another customer." + _CHECK
    ),
)
async def other_customer(kit: Kit) -> None:
    """Check C-054."""
    other = kit.orders.name("other")
    if kit.target.plain_cancel is Operation.CANCEL_OPERATION:
        await _is_refused(kit, {"a cancel of another user": {"username": other}})
        return
    wrong = {
        "a cancel of another user": {"userName": other},
        "a cancel of another customer": {"thirdServerCode": other},
    }
    await _is_refused(kit, wrong)


@requirement(
    "C-055",
    title="A cancel with a negative amount or zero is refused",
    rule=(
        "The amount of a cancel adjust is always positive, also that of a cancel of a negative adjust. Any other "
        "amount is refused and changes nothing."
    ),
    why=(
        "An external system that adds the amount of a cancel without a look at its sign takes the money once more "
        "instead of giving it back. Zero would end the compensation although nothing was given back."
    ),
    source="docs/contract.md#table-2",
    check="Sends an adjust of 12.50, and cancels of it with -12.50, 0 and 0.00." + _CHECK,
    needs=("--protocol cancel-adjust",),
)
async def amount_that_is_not_positive(kit: Kit) -> None:
    """Check C-055."""
    amounts = ("-12.50", "0", "0.00")
    await _is_refused(kit, {f"a cancel with the amount {amount}": {"amount": amount} for amount in amounts})
