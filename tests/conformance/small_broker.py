"""A small external system that keeps the contract; a subclass breaks one rule by overriding one step.

It is served over real sockets. Every step is a method, so that a fault is a few lines.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

ADJUST, CANCEL, OPERATION = "/", "/get-user-amount", "/global/tradeapi.app.OrderApiService.queryPBOOrderPage"
APPLIED, REVERSED, NOT_APPLIED, NEVER = "0", "0", "US_0000001", "US_0000002"
DANGLING, REFUSED = "US_0000403", "US_0000400"
EXACT = Context(prec=80)
SLOW = '{"slow": true}'
REJECT = '{"reject": true}'

Fields = dict[str, Any]


@dataclass
class Adjust:
    """An adjust that was received, and what became of it."""

    body: Fields
    code: str
    is_reversed: bool = False


@dataclass
class Cancel:
    """A cancel of either operation."""

    number: str
    reverses: str
    body: Fields


@dataclass
class SmallBroker:
    """The books, and the steps that change them."""

    adjusts: dict[str, Adjust] = field(default_factory=dict)
    cancels: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By the number of a cancel: the number that it reverses, and its code."""
    burnt: set[str] = field(default_factory=set)
    balances: dict[str, Decimal] = field(default_factory=dict)

    async def adjust(self, body: Fields) -> str:
        """Receive an adjust; return its code."""
        number = body.get("requestUniqueNo", "")
        if not self.is_valid(body):
            return await self.refuse(body)
        if number in self.adjusts:
            first = self.adjusts[number]
            return first.code if first.body["amount"] == body["amount"] else REFUSED
        if body.get("metadata") == SLOW:
            return await self.adjust_slowly(body)
        return await self.apply(body, is_burnt=self.is_burnt(number))

    async def adjust_slowly(self, body: Fields) -> str:
        """Apply an adjust that takes some time; its cancel can come first."""
        await asyncio.sleep(0.6)
        return await self.apply(body, is_burnt=self.is_burnt(body["requestUniqueNo"]))

    async def apply(self, body: Fields, *, is_burnt: bool) -> str:
        """Record an adjust, and move the balance unless it is refused."""
        code = DANGLING if is_burnt else REFUSED if body.get("metadata") == REJECT else APPLIED
        self.adjusts[body["requestUniqueNo"]] = Adjust(body, code)
        if code == APPLIED:
            await self.move(body["thirdServerCode"], Decimal(body["amount"]))
        return code

    async def cancel(self, cancel: Cancel) -> str:
        """Receive a cancel; return its code."""
        if cancel.number in self.cancels:
            return await self.repeat(cancel)
        adjust = self.adjusts.get(cancel.reverses)
        if not self.fits(cancel, adjust):
            return REFUSED
        code = await self.reverse(cancel, adjust)
        self.cancels[cancel.number] = (cancel.reverses, code)
        return code

    async def repeat(self, cancel: Cancel) -> str:
        """Answer a cancel whose number was used before."""
        reverses, code = self.cancels[cancel.number]
        return code if reverses == cancel.reverses else REFUSED

    async def reverse(self, cancel: Cancel, adjust: Adjust | None) -> str:
        """Give the amount back, if there is one."""
        if adjust is None:
            self.burnt.add(cancel.reverses)
            return self.never_received(cancel)
        if adjust.code != APPLIED:
            return self.not_applied()
        if adjust.is_reversed:
            return await self.already_reversed(adjust)
        adjust.is_reversed = True
        await self.give_back(adjust)
        return REVERSED

    async def give_back(self, adjust: Adjust) -> None:
        """Move the balance back."""
        await self.move(adjust.body["thirdServerCode"], -Decimal(adjust.body["amount"]))

    async def already_reversed(self, adjust: Adjust) -> str:
        """Answer a cancel of an adjust that is reversed."""
        del adjust
        return REVERSED

    def never_received(self, cancel: Cancel) -> str:
        """Return the code for a cancel without an adjust."""
        del cancel
        return NEVER

    def not_applied(self) -> str:
        """Return the code for a cancel of a refused adjust."""
        return NOT_APPLIED

    def is_burnt(self, number: str) -> bool:
        """Tell whether a cancel came before this adjust."""
        return number in self.burnt

    async def refuse(self, body: Fields) -> str:
        """Return the code for an adjust that breaks a rule."""
        del body
        return REFUSED

    def is_valid(self, body: Fields) -> bool:
        """Tell whether an adjust keeps the rules that the checks of cancels and books break."""
        amount, digits = str(body.get("amount")), body.get("amountDigits", 0)
        is_negative = body.get("operationType") == "ABNORMAL_OVERTRADING"
        return (
            re.fullmatch(rf"-?[0-9]+(\.[0-9]{{1,{max(digits, 1)}}})?", amount) is not None
            and amount.startswith("-") is is_negative
            and body.get("bizType") in {1, 2, 10, 11, 12}
            and "orderId" in body
        )

    def fits(self, cancel: Cancel, adjust: Adjust | None) -> bool:
        """Tell whether a cancel keeps the rules and agrees with its adjust."""
        return adjust is None or all(getattr(self, f"fits_{name}")(cancel.body, adjust.body) for name in self.compared)

    compared: ClassVar[tuple[str, ...]] = ("amount", "currency", "user", "customer", "type")

    def fits_amount(self, cancel: Fields, adjust: Fields) -> bool:
        """Compare the amounts as text without a sign; a cancel operation has none."""
        return bool(cancel.get("amount", adjust["amount"].lstrip("-")) == adjust["amount"].lstrip("-"))

    def fits_currency(self, cancel: Fields, adjust: Fields) -> bool:
        """Compare the currencies."""
        return bool(cancel.get("currency", adjust["currency"]) == adjust["currency"])

    def fits_user(self, cancel: Fields, adjust: Fields) -> bool:
        """Compare the users."""
        return bool((cancel.get("userName") or cancel["username"]) == adjust["userName"])

    def fits_customer(self, cancel: Fields, adjust: Fields) -> bool:
        """Compare the customers."""
        return bool(cancel.get("thirdServerCode", adjust["thirdServerCode"]) == adjust["thirdServerCode"])

    def fits_type(self, cancel: Fields, adjust: Fields) -> bool:
        """Compare reverse_type with bizType."""
        wanted = 2 if adjust["bizType"] == 2 else 1
        return bool(cancel.get("reverse_type", wanted) == wanted)

    async def move(self, customer: str, change: Decimal) -> None:
        """Change a balance."""
        self.balances[customer] = EXACT.add(self.balances.get(customer, Decimal(0)), change)

    async def answer(self, path: str, headers: dict[str, str], body: bytes) -> object:
        """Answer one request."""
        url = urlsplit(path)
        if url.path == "/balance":
            customer = parse_qs(url.query)["c"][0]
            return {"balance": format(self.balances.get(customer, Decimal(0)), "f")}
        fields = json.loads(body)
        code = await self.code(url.path, headers, fields)
        return {"code": code, "trace": headers.get("trace", ""), "ok": code == "0", "fail": code != "0"}

    async def code(self, path: str, headers: dict[str, str], fields: Fields) -> str:
        """Return the code for one request of the contract."""
        del headers
        if path == ADJUST:
            return await self.adjust(fields)
        if path == CANCEL:
            return await self.cancel(Cancel(fields["requestUniqueNo"], fields["reverseRequestUniqueNo"], fields))
        return await self.cancel_operation(Cancel(fields["txid"], fields["tx_reverse_id"], fields))

    async def cancel_operation(self, cancel: Cancel) -> str:
        """Receive a cancel of the deprecated operation."""
        return await self.cancel(cancel)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        while (request := await self.read(reader)) is not None:
            writer.write(reply_bytes(await self.answer(*request)))
            await writer.drain()

    async def read(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes] | None:
        """Read one request; None at the end of the connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path, headers = parsed(head)
            return path, headers, await self.read_body(reader, int(headers.get("content-length", "0")))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def read_body(self, reader: asyncio.StreamReader, length: int) -> bytes:
        """Read a body. Raises IncompleteReadError if the connection ends before."""
        return await reader.readexactly(length)


def parsed(head: str) -> tuple[str, dict[str, str]]:
    """Return path and headers of a request; names are in lower case."""
    first, *lines = head.strip().split("\r\n")
    return first.split(" ")[1], {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def reply_bytes(document: object) -> bytes:
    """Return a reply with a JSON document."""
    text = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


@asynccontextmanager
async def serving(broker: SmallBroker) -> AsyncIterator[str]:
    """Serve a broker for the length of the block; yield its base URL."""
    open_writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.add(writer)
        try:
            await broker.serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            open_writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in open_writers:
            writer.transport.abort()
        await server.wait_closed()
