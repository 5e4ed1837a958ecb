"""Requirements on cancels that arrive one after the other: C-040 to C-042, C-044 to C-046, C-051."""

from decimal import Decimal

from conformance import cancelling
from conformance.kit import Kit
from conformance.requirement import NotChecked, requirement
from conformance.target import Meaning
from contract.operations import Operation


@requirement(
    "C-040",
    title="A cancel reverses an applied adjust",
    rule=(
        "A cancel of an applied adjust gives the amount back to the customer and answers code 0. Its amount is the "
        "absolute value of the adjust's amount. A cancel adjust may leave out thirdServerCode and orderId."
    ),
    why=(
        "The platform has already told the user that the order is void. Until the cancel succeeds, the customer's "
        "credit is wrong by the whole amount. After the last attempt the settlement is aborted, and an operator must "
        "correct the books by hand."
    ),
    source="docs/contract.md#table-2",
    check=(
        "Sends an adjust and its cancel; an adjust and a cancel adjust without the two optional fields; and an adjust "
        "with a negative amount and its cancel, if the external system applies ABNORMAL_OVERTRADING. Expects code 0 "
        "for each cancel. With `--balance-url` the first cancel must move the balance by the amount."
    ),
)
async def reverses_an_applied_adjust(kit: Kit) -> None:
    """Check C-040."""
    order = kit.order()
    await kit.applied(order)
    before = await cancelling.seen_balance(kit, order)
    cancelling.expect_reversed(kit, await kit.cancel(order, label="a cancel of an applied adjust"))
    wanted = None if before is None else before - Decimal(order["amount"])
    await cancelling.expect_balance(kit, order, wanted, "a cancel of an applied adjust")
    if kit.target.plain_cancel is Operation.CANCEL_ADJUST:
        order = kit.order()
        await kit.applied(order)
        body = kit.cancel_body(order).but(thirdServerCode=None, orderId=None)
        answer = await kit.cancel_adjust(body, label="a cancel without thirdServerCode and orderId")
        cancelling.expect_reversed(kit, answer)
    order = kit.order(operationType="ABNORMAL_OVERTRADING", amount="-12.50")
    if (await kit.adjust(order, label="an adjust with a negative amount")).is_success:
        answer = await kit.cancel(order, label="a cancel of an adjust with a negative amount")
        cancelling.expect_reversed(kit, answer)


@requirement(
    "C-041",
    title="The same cancel again succeeds and moves nothing",
    rule=(
        "A cancel that is repeated under its requestUniqueNo is answered with success. The amount is not given back a "
        "second time."
    ),
    why=(
        "The platform repeats a cancel whenever its reply was lost. If a repeat gives the amount back again, each "
        "lost reply pays the customer once more. If a repeat is refused as a duplicate, the compensation never ends. "
        "Published case: a repeated idempotency key of Stripe's API gets the result of the first request."
    ),
    source="docs/contract.md#table-2",
    check=(
        "Sends an adjust, its cancel, and the same cancel two more times, each with another trace. Expects code 0 for "
        "each. With `--balance-url` the balance must not change after the first cancel."
    ),
)
async def same_cancel_again(kit: Kit) -> None:
    """Check C-041."""
    order, number = kit.order(), kit.orders.name("x")
    await kit.applied(order)
    body = kit.cancel_body(order, number)
    cancelling.require_reversed(kit, await cancelling.cancel(kit, body, "its cancel"))
    balance = await cancelling.seen_balance(kit, order)
    for label in ("the same cancel again", "the same cancel a third time"):
        cancelling.expect_reversed(kit, await cancelling.cancel(kit, body, label))
    await cancelling.expect_balance(kit, order, balance, "the repeated cancel")


@requirement(
    "C-042",
    title="A cancel of an adjust that is already reversed succeeds and moves nothing",
    rule=(
        "A cancel under a new requestUniqueNo of an adjust that another cancel has reversed is answered with success. "
        "The amount is not given back a second time."
    ),
    why=(
        "After an adjust without a reply the platform sends a confirming cancel under its own number, and an operator "
        "may send one more. An external system that recognises only repeated cancel numbers pays the customer twice."
    ),
    source="docs/contract.md#confirming-cancel",
    check=(
        "Sends an adjust, its cancel, and two more cancels of it under new numbers. Expects code 0 for each. With "
        "`--balance-url` the balance must not change after the first cancel."
    ),
)
async def another_cancel_of_a_reversed_adjust(kit: Kit) -> None:
    """Check C-042."""
    order = kit.order()
    await kit.applied(order)
    await kit.reversed(order)
    balance = await cancelling.seen_balance(kit, order)
    for label in ("a second cancel under a new number", "a third cancel under a new number"):
        cancelling.expect_reversed(kit, await kit.cancel(order, label=label))
    await cancelling.expect_balance(kit, order, balance, "the cancels under new numbers")


@requirement(
    "C-044",
    title="A cancel of an adjust that never arrived answers US_0000002",
    rule=(
        "If the external system has never received the number to reverse, it answers US_0000002 and changes nothing. "
        "It never answers code 0."
    ),
    why=(
        "The adjust was lost on its way, or it is still on its way. If the answer is 0, the platform believes that "
        "money was given back that never moved. If the answer is an error, the platform repeats the cancel until it "
        "gives up. Published case: the literature on TCC calls it an empty rollback; Seata handles it since version "
        "1.5.1 with a record of the number."
    ),
    source="docs/contract.md#table-2",
    check=(
        "Sends a cancel of a number that was never sent and expects US_0000002. The same cancel again must not be "
        "answered with code 0. A cancel under a new number must be answered with US_0000002 or US_0000001."
    ),
)
async def never_received(kit: Kit) -> None:
    """Check C-044."""
    order = kit.order()
    body = kit.cancel_body(order)
    first = await cancelling.cancel(kit, body, "a cancel of an adjust that was never sent")
    is_right = kit.meaning(first) is Meaning.NEVER_RECEIVED
    kit.expect(is_right, f"{first.exchange.label}: expected code 'US_0000002'", first)
    cancelling.expect_not_reversed(kit, await cancelling.cancel(kit, body, "the same cancel again"))
    later = await kit.cancel(order, label="a cancel under a new number")
    is_right = kit.meaning(later) in {Meaning.NEVER_RECEIVED, Meaning.NOT_APPLIED}
    kit.expect(is_right, f"{later.exchange.label}: expected code 'US_0000002'", later)


@requirement(
    "C-045",
    title="An adjust that arrives after its cancel is refused",
    rule=(
        "A cancel of an adjust that was never received burns the number of the adjust. If the adjust arrives later "
        "(dangling action), it is refused and not applied. That also holds for its repeats."
    ),
    why=(
        "The network can deliver the adjust after its cancel. The cancel has ended the compensation, and nobody "
        "cancels again. If the late adjust is applied, the customer's credit stays wrong for good. Published case: "
        "the literature on TCC calls it hanging or suspension; Seata prevents it since version 1.5.1: the cancel "
        "inserts a record, on which the late request fails."
    ),
    source="docs/contract.md#dangling-actions",
    check=(
        "Sends a cancel, then its adjust twice, then the same cancel and a cancel under a new number. Expects that "
        "the adjust is refused each time, and that no cancel is answered with code 0."
    ),
)
async def dangling_adjust(kit: Kit) -> None:
    """Check C-045."""
    order = kit.order()
    body = kit.cancel_body(order)
    first = await cancelling.cancel(kit, body, "a cancel before its adjust")
    if kit.meaning(first) not in {Meaning.NEVER_RECEIVED, Meaning.NOT_APPLIED}:
        message = f"a cancel before its adjust does not settle: {first}. C-044 must pass first"
        raise NotChecked(message)
    for label in ("the adjust after its cancel", "the same adjust again"):
        answer = await kit.adjust(order, label=label)
        kit.expect(answer.is_refusal, f"{label}: expected a refusal", answer)
    again = await cancelling.cancel(kit, body, "the same cancel again")
    later = await kit.cancel(order, label="a later cancel under a new number")
    if kit.meaning(later) is Meaning.REVERSED and await cancelling.cancel_of_refused_succeeds(kit):
        message = "every cancel of a refused adjust is answered with success. C-046 must pass first"
        raise NotChecked(message)
    cancelling.expect_not_reversed(kit, again)
    cancelling.expect_not_reversed(kit, later)


@requirement(
    "C-046",
    title="A cancel of an adjust that was received and refused answers US_0000001",
    rule=(
        "If the external system has received the adjust and has not applied it, its cancel changes nothing and is "
        "answered with US_0000001."
    ),
    why=(
        "An error reply to adjust leads to a cancel. If that cancel is answered with 0, the customer gets money back "
        "that was never taken. US_0000002 would say that the adjust never arrived, although it was answered: the two "
        "systems then disagree about what happened to one order."
    ),
    source="docs/contract.md#table-2",
    check=(
        "Sends an adjust that this broker refuses (`--refused-metadata` or `--refused-customer`), and then its cancel "
        "under two numbers. Expects US_0000001 for both cancels."
    ),
    needs=("--refused-metadata or --refused-customer",),
)
async def refused_adjust(kit: Kit) -> None:
    """Check C-046."""
    order = kit.order(**(kit.target.refused.changes() if kit.target.refused else {}))
    answer = await kit.adjust(order, label="an adjust that is to be refused")
    if answer.is_success or answer.reply is None:
        await kit.cancel(order, label="a cancel that clears up")
        message = f"the adjust of `--refused-metadata` or `--refused-customer` is not refused: {answer}"
        raise NotChecked(message)
    for label in ("a cancel of the refused adjust", "a second cancel of it under a new number"):
        cancel = await kit.cancel(order, label=label)
        is_right = kit.meaning(cancel) is Meaning.NOT_APPLIED
        kit.expect(is_right, f"{label}: expected code 'US_0000001'", cancel)


@requirement(
    "C-051",
    title="The number of a cancel cannot be used for another adjust",
    rule=(
        "A cancel whose requestUniqueNo was used by the cancel of another adjust is refused. The other adjust stays "
        "applied until a cancel with an unused number arrives."
    ),
    why=(
        "If the second cancel gets the stored success of the first one, the platform believes that an amount was "
        "given back that was not. The customer's credit stays wrong, and no later check of the replies finds it. "
        "Published case: Stripe's API refuses an idempotency key that is used with other parameters."
    ),
    source="docs/contract.md#repeating-an-adjust",
    check=(
        "Sends two adjusts, a cancel of the first one, and a cancel of the second one under the same number. Expects "
        "a refusal. With `--balance-url` the balance of the second customer must not change. Then a cancel with a new "
        "number must be answered with code 0."
    ),
)
async def cancel_number_of_another_adjust(kit: Kit) -> None:
    """Check C-051."""
    first, second, number = kit.order(), kit.order(), kit.orders.name("x")
    await kit.applied(first, "the first adjust")
    await kit.applied(second, "the second adjust")
    balance = await cancelling.seen_balance(kit, second)
    cancelling.require_reversed(kit, await kit.cancel(first, number=number, label="a cancel of the first adjust"))
    answer = await kit.cancel(second, number=number, label="a cancel of the second adjust under the same number")
    cancelling.expect_refused(kit, answer)
    await cancelling.expect_balance(kit, second, balance, "the refused cancel")
    cancelling.expect_reversed(kit, await kit.cancel(second, label="a cancel of the second adjust under a new number"))
