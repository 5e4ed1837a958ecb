"""Plain adjusts of every kind."""

from conformance.cancelling import require_plain_cancel
from conformance.kit import Kit
from conformance.requirement import requirement
from contract.fields import BizType


@requirement(
    "C-010",
    title="A plain adjust of every operationType is answered correctly",
    rule=(
        "OPEN_POSITION and NORMAL_CLOSE with a positive amount are applied: code `0`. ABNORMAL_OVERTRADING with a "
        "negative amount is applied or refused; the reply says which."
    ),
    why="Every order needs an adjust. One that is not applied is void, and its customer cannot trade.",
    source="docs/contract.md#table-1",
    check=(
        "Sends an adjust of each operationType for one customer, with the sign that the contract asks for, "
        "and looks at the code of each reply."
    ),
)
async def every_operation_type(kit: Kit) -> None:
    """Check C-010."""
    opened = kit.order()
    kit.expect_code(await kit.adjust(opened, label="OPEN_POSITION"), "0")
    same = {name: opened[name] for name in ("thirdServerCode", "userName")}
    closed = kit.order(**same, operationType="NORMAL_CLOSE", bizType=BizType.MARKET_CLOSE.value)
    kit.expect_code(await kit.adjust(closed, label="NORMAL_CLOSE"), "0")
    loss = kit.order(**same, operationType="ABNORMAL_OVERTRADING", bizType=BizType.MARKET_CLOSE.value, amount="-12.50")
    answer = await kit.adjust(loss, label="ABNORMAL_OVERTRADING")
    kit.expect(answer.code is not None, "ABNORMAL_OVERTRADING: expected code '0' or a code of a refusal", answer)


@requirement(
    "C-011",
    title="An adjust of every bizType is applied",
    rule="The bizTypes 1, 2, 10, 11 and 12 are applied: code `0`.",
    why="A kind of order that the external system does not know is void for every customer.",
    source="docs/contract.md#table-1",
    check=(
        "Sends an adjust of each bizType for one customer: 2 (market close) as NORMAL_CLOSE, the others as "
        "OPEN_POSITION. Expects code 0 for each."
    ),
)
async def every_biz_type(kit: Kit) -> None:
    """Check C-011."""
    await require_plain_cancel(kit)
    first = kit.order()
    same = {name: first[name] for name in ("thirdServerCode", "userName")}
    for biz_type in BizType:
        operation = "NORMAL_CLOSE" if biz_type is BizType.MARKET_CLOSE else "OPEN_POSITION"
        order = kit.order(**same, bizType=biz_type.value, operationType=operation)
        kit.expect_code(await kit.adjust(order, label=f"bizType {biz_type.value}"), "0")
