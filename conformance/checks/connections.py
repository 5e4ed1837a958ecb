"""Requirements on connections: C-060 to C-063."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from conformance import cancelling
from conformance.connection import Connection, ConnectionFailed
from conformance.exchange import Request
from conformance.kit import Kit
from conformance.orders import Body
from conformance.reading import Answer
from conformance.requirement import BrokenRequirement, NotChecked, requirement
from contract.operations import Operation

_LONGER_IDLE = 1.5
_PIECES, _SLOW_S, _SLOW_PART = 11, 3.0, 0.6
"""The request of the slow client of C-062: it takes as long as the platform waits for a reply, 3 s, or this part of
`Target.exchange_limit_s`, whichever is shorter."""
_OTHERS = 3
_CUT_AFTER_S, _CUT_PAUSE_S = 0.3, 0.5
"""When the kit closes the connection of C-063, and how long it then waits before it looks for an effect."""
_MISSING_BYTES = 20


async def _open(kit: Kit) -> Connection:
    try:
        async with asyncio.timeout(kit.target.exchange_limit_s):
            return await kit.connect()
    except ConnectionFailed as error:
        message = f"expected a connection; came: {error}"
    except TimeoutError:
        message = f"expected a connection; came: none within {kit.target.exchange_limit_s:g} s"
    raise BrokenRequirement(message)


def _is_kept(answer: Answer) -> bool:
    """Tell whether the reply leaves the connection open, as far as it says."""
    return answer.http is not None and "close" not in (answer.http.header("connection") or "").lower()


@requirement(
    "C-060",
    title="A connection can be used for several requests",
    rule=(
        "Each reply on a kept connection answers the request before it. An external system that does not keep a "
        "connection says so with the header Connection: close."
    ),
    why=(
        "The platform reuses connections. If a reply belongs to an earlier request, an adjust that was refused can "
        "look as if it were applied. If the connection ends without notice, the next request is lost: the order is "
        "void although the external system works."
    ),
    source="docs/contract.md#outcomes",
    check=(
        "Sends an adjust, its cancel and another adjust over one connection. Expects code 0 for each, and never the "
        "trace of an earlier request. After a reply with Connection: close it opens a new connection."
    ),
)
async def reused_connection(kit: Kit) -> None:
    """Check C-060."""
    await cancelling.require_plain_cancel(kit)
    order, other = kit.order(), kit.order()
    cancel = kit.cancel_body(order)
    requests = [(Operation.ADJUST, order), (kit.target.plain_cancel, cancel), (Operation.ADJUST, other)]
    connection, traces = await _open(kit), set[str]()
    try:
        for position, (operation, body) in enumerate(requests, 1):
            trace, label = kit.orders.name("t"), f"request {position} on one connection"
            answer = await kit.call(operation, body, label=label, headers={"trace": trace}, connection=connection)
            kit.expect(answer.is_success, f"{label}: expected code '0'", answer)
            came = answer.reply.trace if answer.reply else None
            kit.expect(came not in traces, f"{label}: expected the reply to this request", f"the trace {came!r}")
            traces.add(trace)
            if not _is_kept(answer):
                await connection.close()
                connection = await _open(kit)
    finally:
        await connection.close()
    await kit.cancel(other, label="a cancel that clears up")


@requirement(
    "C-061",
    title="No request is lost on a connection that was idle",
    rule=(
        "An external system that closes an idle connection closes it so that the platform sees it (TCP FIN), before "
        "the next request. A connection that it has not closed is answered."
    ),
    why=(
        "A load balancer or a firewall that forgets an idle connection loses the first request after each quiet "
        "period. The platform gets no reply, voids the order and cancels. Published case: Node.js closes idle "
        "connections after 5 s by default, and load balancers with a longer limit answered their users with HTTP 502."
    ),
    source="docs/contract.md#outcomes",
    check=(
        "Sends an adjust, leaves its connection idle for `--idle-s` seconds, and sends another one over it unless the "
        "external system has closed it. If that gets no reply, it tries once more with an idle time that is half as "
        "long again, because both sides may act in the same instant."
    ),
)
async def idle_connection(kit: Kit) -> None:
    """Check C-061."""
    first = await _after_idle(kit, kit.target.idle_s)
    if first is None or first.exchange.failure is None:
        return
    idle_s = kit.target.idle_s * _LONGER_IDLE
    answer = await _after_idle(kit, idle_s)
    if answer is not None:
        what = f"a request on a connection that was idle for {idle_s:g} s"
        kit.expect(answer.exchange.failure is None, f"{what}: expected a reply, or that it was closed before", answer)


async def _after_idle(kit: Kit, idle_s: float) -> Answer | None:
    """Send adjusts over one connection that is idle before the last one; return the answer to that.

    Returns None if the external system has closed the connection before, so that no request could be lost.
    """
    connection, orders = await _open(kit), [kit.order() for _ in range(3)]
    try:
        return await _last_after_idle(kit, connection, orders, idle_s)
    finally:
        await connection.close()
        for order in orders:
            await kit.cancel(order, label="a cancel that clears up")


async def _last_after_idle(kit: Kit, connection: Connection, orders: Sequence[Body], idle_s: float) -> Answer | None:
    labels = ("an adjust on a new connection", "an adjust on a connection that was not idle")
    for label, order in zip(labels, orders, strict=False):
        answer = await kit.call(Operation.ADJUST, order, label=label, connection=connection)
        if answer.exchange.failure is not None:
            message = f"{label} gets no reply: {answer}. C-060 must pass first"
            raise NotChecked(message)
        if not _is_kept(answer):
            return None
    if await connection.is_closed_by_peer(idle_s):
        return None
    label = f"an adjust after {idle_s:g} s without a request"
    return await kit.call(Operation.ADJUST, orders[-1], label=label, connection=connection)


@requirement(
    "C-062",
    title="A slow client does not delay other requests",
    rule=(
        "A request that arrives in pieces is answered when it is complete. Other requests are answered in the meantime."
    ),
    why=(
        "An external system that reads one request at a time can be stopped by one slow connection. Then every adjust "
        "runs into the 3 seconds, every order is void, and each one costs a cancel. Published case: the tool "
        "Slowloris (2009) stopped web servers with a few hundred requests that were sent in pieces."
    ),
    source="docs/contract.md#rule-1",
    check=(
        "Sends an adjust in 11 pieces over 3 s, and meanwhile three adjusts over other connections. Expects code 0 "
        "for all, and the replies to the other three before the last piece was sent."
    ),
)
async def slow_client(kit: Kit) -> None:
    """Check C-062."""
    orders = [kit.order() for _ in range(_OTHERS)]
    slow_order = kit.order()
    await kit.applied(kit.order(), "an adjust to begin with")
    slow_s = min(_SLOW_S, kit.target.exchange_limit_s * _SLOW_PART)
    slow = asyncio.create_task(_send_in_pieces(kit, slow_order, slow_s))
    try:
        await asyncio.sleep(slow_s / _PIECES)
        label = "an adjust while another one arrives in pieces"
        answers = await asyncio.gather(*(kit.adjust(order, label=label) for order in orders))
        is_late = slow.done()
    finally:
        slow_answer = await slow
    for order in (*orders, slow_order):
        await kit.cancel(order, label="a cancel that clears up")
    for answer in answers:
        kit.expect_code(answer, "0")
    was_slow = slow_answer.exchange.elapsed_s >= slow_s
    kit.expect(
        not (is_late and was_slow),
        f"{label}: expected a reply before the slow request was complete",
        "a reply after its end",
    )
    kit.expect_code(slow_answer, "0")


async def _send_in_pieces(kit: Kit, order: Body, slow_s: float) -> Answer:
    """Send an adjust in pieces of the same length; it takes `slow_s` seconds."""
    data = kit.request(Operation.ADJUST, order)
    size = -(-len(data) // _PIECES)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    request = Request("an adjust in pieces", pieces, pause_s=slow_s / (len(pieces) - 1))
    return await kit.send(kit.target.url_of(Operation.ADJUST), request)


@requirement(
    "C-063",
    title="A request that is cut off in its body has no effect",
    rule=(
        "If the connection ends before Content-Length bytes of the body have arrived, the request is incomplete (RFC "
        "9112, section 6.3). It is not carried out, even if what has arrived can be read as JSON."
    ),
    why=(
        "The platform has given up before it had sent the whole request, so it may count it as never sent and send no "
        "cancel. If the external system applies it, nobody takes the amount back."
    ),
    source="docs/contract.md#outcomes",
    check=(
        "Sends an adjust with half of its body, and one whose Content-Length is 20 bytes longer than the complete "
        "JSON text, and closes the connection. Then a cancel of each must not be answered with code 0. With "
        "`--balance-url` the balance must not change."
    ),
)
async def cut_off_request(kit: Kit) -> None:
    """Check C-063."""
    await kit.require_never_received()
    for label, part in (("cut off in the middle of its body", 0.5), ("cut off after its JSON text", 1.0)):
        order = kit.order()
        start = await cancelling.seen_balance(kit, order)
        await _send_cut_off(kit, order, f"an adjust that is {label}", part)
        await kit.pause(_CUT_PAUSE_S)
        await cancelling.expect_balance(kit, order, start, f"an adjust that is {label}")
        answer = await kit.cancel(order, label=f"a cancel of the adjust that is {label}")
        cancelling.expect_not_reversed(kit, answer)


async def _send_cut_off(kit: Kit, order: Body, label: str, part: float) -> None:
    """Send an adjust with only a part of its JSON text and a Content-Length beyond it; close the connection."""
    length = len(kit.request(Operation.ADJUST, order).partition(b"\r\n\r\n")[2])
    headers = {"Content-Length": str(length + _MISSING_BYTES)}
    data = kit.request(Operation.ADJUST, order, headers)
    cut = data[: len(data) - length + int(length * part)]
    connection = await _open(kit)
    request = Request(label, [cut])
    sending = asyncio.create_task(kit.send(kit.target.url_of(Operation.ADJUST), request, connection=connection))
    with suppress(TimeoutError):
        async with asyncio.timeout(_CUT_AFTER_S):
            await asyncio.shield(sending)
    connection.abort()
    await sending
