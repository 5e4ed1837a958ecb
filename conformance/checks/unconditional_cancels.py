"""Requirements that a cancel is carried out whatever its age, its session and the customer's balance: C-049, C-050."""

from decimal import ROUND_CEILING, Decimal

from conformance import cancelling
from conformance.kit import Kit
from conformance.orders import Body, now_ms
from conformance.requirement import NotChecked, requirement
from contract.operations import Operation

_DAY_MS = 86_400_000
_CREDIT = Decimal("100.00")


@requirement(
    "C-049",
    title="A cancel is carried out whatever its age and its session",
    rule=(
        "A cancel is not refused because its requestTime or its timestamp header is old, nor because it comes over "
        "another connection and without the cookies of the adjust."
    ),
    why=(
        "A retry carries the requestTime of the first attempt, and an operator may send one after days, from another "
        "process. If the external system refuses it as stale, no retry can ever succeed. Published case: Amazon S3 "
        "refuses a request whose clock differs by more than 15 minutes; a middleware with such a rule makes late "
        "cancels impossible."
    ),
    source="docs/contract.md#rule-3",
    check=(
        "Sends an adjust and a cancel whose requestTime is a day old; an adjust and a cancel adjust whose timestamp "
        "header is a day old. Every request uses a new connection and no cookies. Expects code 0 for each cancel."
    ),
)
async def old_cancel(kit: Kit) -> None:
    """Check C-049."""
    await cancelling.require_plain_cancel(kit)
    yesterday = now_ms() - _DAY_MS
    order = kit.order()
    await kit.applied(order)
    is_cancel_adjust = kit.target.plain_cancel is Operation.CANCEL_ADJUST
    body = kit.cancel_body(order).but(**{"requestTime" if is_cancel_adjust else "requesttime": yesterday})
    answer = await cancelling.cancel(kit, body, "a cancel with a requestTime that is a day old")
    cancelling.expect_reversed(kit, answer)
    if is_cancel_adjust:
        order = kit.order()
        await kit.applied(order)
        label, headers = "a cancel with a timestamp header that is a day old", {"timestamp": str(yesterday)}
        cancelling.expect_reversed(kit, await cancelling.cancel(kit, kit.cancel_body(order), label, headers))


@requirement(
    "C-050",
    title="A cancel is carried out even if the balance becomes negative",
    rule=(
        "A cancel gives back exactly the amount of its adjust. It is not refused for lack of credit, even if the "
        "customer has used the credit in the meantime."
    ),
    why=(
        "The order is void in any case. If the cancel is refused, the customer keeps a credit that has no order, and "
        "the platform retries until it gives up. A negative balance shows the debt; a refused cancel hides it."
    ),
    source="docs/contract.md#table-2",
    check=(
        "Sends an adjust of 100.00, then an ABNORMAL_OVERTRADING adjust that deducts the whole balance, and then the "
        "cancel of the first one. Expects code 0. A customer of `--customer` needs `--balance-url`, too. If the "
        "external system does not apply the deduction, the requirement is not checked."
    ),
    alone=True,
)
async def negative_balance(kit: Kit) -> None:
    """Check C-050."""
    await cancelling.require_plain_cancel(kit)
    credit = kit.order(amount=f"{_CREDIT}")
    await kit.applied(credit, "an adjust that adds credit")
    deduction = kit.order(
        **cancelling.account_of(credit),
        operationType="ABNORMAL_OVERTRADING",
        amount=f"-{await _whole_balance(kit, credit)}",
    )
    used = await kit.adjust(deduction, label="an adjust that deducts the whole balance")
    answer = await kit.cancel(credit, label="a cancel that makes the balance negative")
    await kit.cancel(deduction, label="a cancel that clears up")
    if not used.is_success:
        message = f"the kit cannot lower the balance: ABNORMAL_OVERTRADING is answered with {used}"
        raise NotChecked(message)
    cancelling.expect_reversed(kit, answer)


async def _whole_balance(kit: Kit, order: Body) -> Decimal:
    """Return the customer's balance after one adjust, rounded up to two decimals: at least the amount of the adjust."""
    if kit.target.account.customer is None:
        return _CREDIT
    balance = await kit.balance(order)
    return max(balance.quantize(_CREDIT, ROUND_CEILING), _CREDIT)
