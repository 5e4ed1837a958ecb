"""Requests that break a rule of the tables: they are refused, and they change nothing."""

from collections.abc import Callable, Mapping

from conformance.cancelling import require_plain_cancel
from conformance.kit import Kit
from conformance.orders import Body
from conformance.requirement import requirement
from conformance.wire import body_bytes
from contract.operations import Operation

_TABLE_1 = "docs/contract.md#table-1"
_REFUSED = "Expects a refusal of each, and that a correct cancel under the same number is not answered with `0`."
_REQUIRED = (
    "thirdServerCode", "userName", "currency", "bizType", "operationType", "amount", "amountDigits", "orderId",
    "requestUniqueNo", "requestTime", "ip",
)  # fmt: skip
_REQUIRED_BY_CANCEL = (
    "userName", "currency", "bizType", "amount", "amountDigits", "requestUniqueNo", "reverseRequestUniqueNo",
    "requestTime", "ip", "cancelRemark",
)  # fmt: skip
_NUMBER = "requestUniqueNo"
_BROKEN_BODIES: Mapping[str, Callable[[bytes], bytes]] = {
    "an adjust with an empty body": lambda _: b"",
    "an adjust whose body is text": lambda _: b"adjust",
    "an adjust whose body ends early": lambda body: body[:-1],
    "an adjust in a JSON list": lambda body: b"[" + body + b"]",
    "an adjust followed by another object": lambda body: body + b"{}",
    "an adjust with a byte that is not UTF-8": lambda body: body.replace(b"203.0.113.7", b"203.0.113.7\xff"),
}


async def refused(
    kit: Kit, what: str, changes: Mapping[str, object], plain: Mapping[str, object] | None = None
) -> None:
    """Send an adjust with wrong fields; expect that it is refused, and that its cancel reverses nothing.

    `plain` are fields of the correct order whose number it has.
    """
    order = kit.order(**(plain or {}))
    answer = await kit.adjust(Body({**order.fields, **changes}), label=what)
    await kit.refused_without_effect(order, answer, what)


@requirement(
    "C-020",
    title="A request that lacks a required field is refused",
    rule="An adjust and a cancel adjust without a required field of their table are refused and change nothing.",
    why=(
        "A missing field becomes a default: no amount becomes 0, no currency that of the account. "
        "The books then hold an amount that nobody ordered."
    ),
    source=_TABLE_1,
    check=(
        f"Sends adjusts, each without one required field. {_REFUSED} Then sends cancel adjusts of an applied adjust, "
        "each without one required field. Expects a refusal of each, and code 0 for the correct cancel."
    ),
)
async def missing_field(kit: Kit) -> None:
    """Check C-020."""
    await require_plain_cancel(kit)
    for name in _REQUIRED:
        what, order = f"an adjust without {name}", kit.order()
        answer = await kit.adjust(order.but(**{name: None}), label=what)
        await kit.refused_without_effect(order, answer, what)
    if kit.target.plain_cancel is not Operation.CANCEL_ADJUST:
        return
    order = kit.order()
    await kit.applied(order)
    for name in _REQUIRED_BY_CANCEL:
        what = f"a cancel without {name}"
        answer = await kit.cancel_adjust(kit.cancel_body(order).but(**{name: None}), label=what)
        kit.expect(answer.is_refusal, f"{what}: expected a refusal", answer)
    await kit.reversed(order, "the correct cancel")


@requirement(
    "C-021",
    title="A field of another JSON type is refused",
    rule="A string is not accepted for an integer, nor a number for a string, nor null for a required field.",
    why="A parser that converts types reads large order ids and numbers with an exponent as other values.",
    source=_TABLE_1,
    check=f"Sends adjusts, each with one field of another type, or null. {_REFUSED} For the type of amount see C-024.",
)
async def wrong_type(kit: Kit) -> None:
    """Check C-021."""
    await require_plain_cancel(kit)
    order = kit.order()
    wrong: dict[str, object] = {
        "thirdServerCode": 7,
        "userName": 7,
        "currency": 840,
        "bizType": "1",
        "operationType": 1,
        "amountDigits": "2",
        "orderId": str(order["orderId"]),
        "requestTime": str(order["requestTime"]),
        "ip": 3_405_803_783,
    }
    for name, value in wrong.items():
        await refused(kit, f"an adjust with {name} {value!r}", {name: value})
    for value in (True, 1.5, [1], {}):
        await refused(kit, f"an adjust with bizType {value!r}", {"bizType": value})
    await refused(kit, "an adjust with orderId True", {"orderId": True})
    for name in _REQUIRED:
        await refused(kit, f"an adjust with {name} null", {name: None})
    number = kit.orders.random.randrange(10**14, 10**15)
    await refused(kit, "an adjust with a JSON number as its requestUniqueNo", {_NUMBER: number}, {_NUMBER: str(number)})


@requirement(
    "C-022",
    title="An amount whose sign does not fit the operationType is refused",
    rule=(
        "OPEN_POSITION and NORMAL_CLOSE have a positive amount, ABNORMAL_OVERTRADING a negative one. Zero is refused "
        "for all."
    ),
    why="With the wrong sign a deduction becomes a payment: the customer's balance is wrong by twice the amount.",
    source=_TABLE_1,
    check=f"Sends adjusts of each operationType with the other sign and with zero. {_REFUSED}",
)
async def wrong_sign(kit: Kit) -> None:
    """Check C-022."""
    await require_plain_cancel(kit)
    for operation, amount in (
        ("OPEN_POSITION", "-12.50"),
        ("NORMAL_CLOSE", "-12.50"),
        ("ABNORMAL_OVERTRADING", "12.50"),
        ("OPEN_POSITION", "0"),
        ("NORMAL_CLOSE", "0.00"),
        ("ABNORMAL_OVERTRADING", "-0.00"),
    ):
        changes = {"operationType": operation, "amount": amount}
        await refused(kit, f"{operation} with amount {amount}", changes, {"operationType": operation})


@requirement(
    "C-023",
    title="An unknown operationType or bizType is refused",
    rule="operationType and bizType have one of the values of table 1, in exactly this spelling.",
    why="An unknown value is handled by a default branch, which is right for another kind of order.",
    source=_TABLE_1,
    check=f"Sends adjusts with values that table 1 does not have. {_REFUSED}",
)
async def unknown_kind(kit: Kit) -> None:
    """Check C-023."""
    await require_plain_cancel(kit)
    for operation in ("", "CLOSE", "open_position", "OPEN_POSITION "):
        await refused(kit, f"an adjust with operationType {operation!r}", {"operationType": operation})
    for biz_type in (-1, 0, 3, 13, 2**31):
        await refused(kit, f"an adjust with bizType {biz_type}", {"bizType": biz_type})


@requirement(
    "C-027",
    title="A requestTime or timestamp that has not 13 digits is refused",
    rule="The field requestTime and the header timestamp are milliseconds since 1970: 13 digits. Both are required.",
    why="Seconds that are read as milliseconds are a time in 1970: what follows from the time is wrong.",
    source="docs/contract.md#headers",
    check=f"Sends adjusts with times of 10, 12 and 14 digits, negative times, and headers without a time. {_REFUSED}",
)
async def wrong_time(kit: Kit) -> None:
    """Check C-027."""
    await require_plain_cancel(kit)
    for time in (1_760_000_000, 176_000_000_000, 17_600_000_000_000, -1_760_000_000_000):
        await refused(kit, f"an adjust with requestTime {time}", {"requestTime": time})
    for timestamp in ("1760000000", "17600000000000", "-1760000000000", "today", "", None):
        what, order = f"an adjust with the header timestamp {timestamp!r}", kit.order()
        answer = await kit.adjust(order, label=what, headers={"timestamp": timestamp})
        await kit.refused_without_effect(order, answer, what)


@requirement(
    "C-028",
    title="A currency that is not one of ISO 4217 is refused",
    rule=(
        "currency is a three-letter code of ISO 4217 in capitals. XXX (no currency) and XTS (tests) are not "
        "currencies of an account."
    ),
    why="An amount in no currency cannot be compared with any account. An unknown code often falls back to a default.",
    source="docs/contract.md#currencies",
    check=f"Sends adjusts with other currencies. {_REFUSED}",
)
async def wrong_currency(kit: Kit) -> None:
    """Check C-028."""
    await require_plain_cancel(kit)
    for currency in ("", "US", "usd", "USDX", "ZZZ", "840", "XXX", "XTS"):
        await refused(kit, f"an adjust with currency {currency!r}", {"currency": currency})


@requirement(
    "C-029",
    title="A request without a trace, or whose body is not a JSON object, is refused",
    rule="The header trace is required and not empty. The body of an adjust is one JSON object in UTF-8.",
    why="Without a trace the two sides cannot find the same order in their logs. Half a body is half an order.",
    source="docs/contract.md#headers",
    check=f"Sends adjusts without a trace, with an empty one, and with bodies that are no JSON object. {_REFUSED}",
)
async def no_trace_no_json(kit: Kit) -> None:
    """Check C-029."""
    await require_plain_cancel(kit)
    for trace in (None, ""):
        what, order = f"an adjust {'without a trace' if trace is None else 'with an empty trace'}", kit.order()
        answer = await kit.adjust(order, label=what, headers={"trace": trace})
        await kit.refused_without_effect(order, answer, what)
    for what, broken in _BROKEN_BODIES.items():
        order = kit.order()
        answer = await kit.adjust(broken(body_bytes(order)), label=what)
        await kit.refused_without_effect(order, answer, what)
