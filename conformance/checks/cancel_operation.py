"""Requirements on the deprecated cancel operation: C-070 to C-074."""

from conformance.cancelling import (
    expect_balance,
    expect_not_reversed,
    expect_reversed,
    require_burnt_numbers,
    require_plain_cancel,
    require_repeated_cancels,
    seen_balance,
)
from conformance.kit import Kit
from conformance.orders import Body
from conformance.reading import Answer
from conformance.requirement import NotChecked, requirement
from conformance.target import Meaning
from contract.operations import Operation

_NEEDS = ("--protocol cancel-operation",)
_OPENING = {"bizType": 1, "operationType": "OPEN_POSITION"}
_CLOSING = {"bizType": 2, "operationType": "NORMAL_CLOSE"}
_OPENING_TYPE, _CLOSING_TYPE = 1, 2


def _body(kit: Kit, order: Body) -> Body:
    return kit.cancel_body(order, operation=Operation.CANCEL_OPERATION)


async def _cancel(kit: Kit, order: Body, label: str, **changes: object) -> Answer:
    return await kit.cancel_operation(_body(kit, order).but(**changes), label=label)


async def _require_cancel_operation(kit: Kit, order: Body) -> Body:
    """Send an adjust and its cancel operation, and return that. Raises NotChecked if it does not reverse the adjust."""
    await kit.applied(order, "an adjust to begin with")
    body = _body(kit, order)
    answer = await kit.cancel_operation(body, label="its cancel operation")
    if kit.meaning(answer) is not Meaning.REVERSED:
        message = f"a cancel operation does not reverse its adjust: {answer}. C-070 must pass first"
        raise NotChecked(message)
    return body


@requirement(
    "C-070",
    title="A cancel operation with reverse_type 1 reverses an order that was placed",
    rule=(
        "A cancel operation whose tx_reverse_id names an applied adjust with another bizType than 2, and whose "
        "reverse_type is 1, gives the amount back and answers code 0."
    ),
    why=(
        "A platform that still uses the deprecated operation has no other way to undo an adjust. Until it succeeds, "
        "the customer's credit is wrong by the whole amount."
    ),
    source="docs/contract.md#table-3",
    check="Sends an adjust with bizType 1 and its cancel operation with reverse_type 1. Expects code 0.",
    needs=_NEEDS,
)
async def reverses_a_placed_order(kit: Kit) -> None:
    """Check C-070."""
    await require_plain_cancel(kit)
    order = kit.order(**_OPENING)
    await kit.applied(order)
    expect_reversed(
        kit, await _cancel(kit, order, "a cancel operation with reverse_type 1", reverse_type=_OPENING_TYPE)
    )


@requirement(
    "C-071",
    title="A cancel operation with reverse_type 2 reverses the closing of a position",
    rule=(
        "A cancel operation whose tx_reverse_id names an applied adjust with bizType 2, and whose reverse_type is 2, "
        "gives the amount back and answers code 0."
    ),
    why=(
        "An external system that keeps openings and closings in two tables may look into one of them only. Then no "
        "closing can be undone."
    ),
    source="docs/contract.md#reverse-type",
    check="Sends an adjust with bizType 2 and its cancel operation with reverse_type 2. Expects code 0.",
    needs=_NEEDS,
)
async def reverses_a_closed_position(kit: Kit) -> None:
    """Check C-071."""
    await require_plain_cancel(kit)
    order = kit.order(**_CLOSING)
    await kit.applied(order, "an adjust that closes a position")
    expect_reversed(
        kit, await _cancel(kit, order, "a cancel operation with reverse_type 2", reverse_type=_CLOSING_TYPE)
    )


@requirement(
    "C-072",
    title="A repeated cancel operation succeeds and moves nothing",
    rule=(
        "If the adjust has been reversed already, a cancel operation is answered with success and moves nothing, "
        "under the same txid and under a new one."
    ),
    why=(
        "Replies get lost, and the platform repeats. A repeat that moves money pays the customer twice; a repeat that "
        "is refused never ends the compensation."
    ),
    source="docs/contract.md#table-3",
    check=(
        "Sends an adjust, its cancel operation, the same one again, and one with a new txid. Expects code 0 for each. "
        "With `--balance-url` the balance must not change after the first one."
    ),
    needs=_NEEDS,
)
async def repeated_cancel_operation(kit: Kit) -> None:
    """Check C-072."""
    await require_repeated_cancels(kit)
    order = kit.order()
    body = await _require_cancel_operation(kit, order)
    balance = await seen_balance(kit, order)
    expect_reversed(kit, await kit.cancel_operation(body, label="the same cancel operation again"))
    expect_reversed(kit, await _cancel(kit, order, "a cancel operation with a new txid"))
    await expect_balance(kit, order, balance, "the repeated cancel operation")


@requirement(
    "C-073",
    title="A cancel operation of an adjust that never arrived answers US_0000002",
    rule=(
        "If the external system has never received tx_reverse_id, it answers US_0000002 and changes nothing. If the "
        "adjust arrives later (dangling action), it is refused."
    ),
    why=(
        "Code 0 would claim that money was given back that never moved. An error would be repeated until the platform "
        "gives up. An adjust that is applied later is never cancelled again."
    ),
    source="docs/contract.md#table-2",
    check=(
        "Sends a cancel operation of a number that was never sent, and then the adjust with this number. Expects "
        "US_0000002 for the cancel operation and a refusal for the adjust."
    ),
    needs=_NEEDS,
)
async def never_received(kit: Kit) -> None:
    """Check C-073."""
    await _require_cancel_operation(kit, kit.order())
    await require_burnt_numbers(kit)
    plain = await kit.cancel(kit.order(), label="a plain cancel of an adjust that was never sent")
    if kit.meaning(plain) is not Meaning.NEVER_RECEIVED:
        message = f"{plain.exchange.label} is answered with {plain}. C-044 must pass first"
        raise NotChecked(message)
    label = "a cancel operation of an adjust that was never sent"
    order = kit.order()
    answer = await _cancel(kit, order, label)
    kit.expect(kit.meaning(answer) is Meaning.NEVER_RECEIVED, f"{label}: expected code 'US_0000002'", answer)
    late = await kit.adjust(order, label="the adjust after its cancel operation")
    kit.expect(late.is_refusal, f"{late.exchange.label}: expected a refusal", late)


@requirement(
    "C-074",
    title="A cancel operation with a wrong reverse_type is refused",
    rule=(
        "A reverse_type that does not fit the bizType of the adjust, or that is neither 1 nor 2, is refused and "
        "changes nothing: 2 fits bizType 2, and 1 fits every other bizType."
    ),
    why=(
        "The reverse_type says what the platform means to undo. If it contradicts the adjust, one of the two systems "
        "has mixed up two orders, and whatever amount is given back may be the wrong one."
    ),
    source="docs/contract.md#reverse-type",
    check=(
        "Sends an adjust with bizType 1, and cancel operations of it with reverse_type 2, 3 and 0. Expects another "
        "code than 0 for each. Then one with reverse_type 1 must be answered with code 0."
    ),
    needs=_NEEDS,
)
async def wrong_reverse_type(kit: Kit) -> None:
    """Check C-074."""
    await _require_cancel_operation(kit, kit.order(**_OPENING))
    order = kit.order(**_OPENING)
    await kit.applied(order)
    for wrong in (_CLOSING_TYPE, 3, 0):
        label = f"a cancel operation with reverse_type {wrong}"
        expect_not_reversed(kit, await _cancel(kit, order, label, reverse_type=wrong))
    answer = await _cancel(kit, order, "the correct cancel operation after a refused one")
    expect_reversed(kit, answer)
