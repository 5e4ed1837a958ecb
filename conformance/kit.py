"""What a check gets: the client, seeded orders, the usual steps, and expectations with their messages."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from urllib.parse import quote

from conformance.client import Client, Record, Transport
from conformance.connection import Connection
from conformance.orders import Body, Orders, cancel_of
from conformance.reading import Answer, quoted
from conformance.requirement import BrokenRequirement, NotChecked
from conformance.target import Meaning, Target
from conformance.wire import Headers
from contract.operations import CancelOperation

Pause = Callable[[float], Awaitable[None]]

PLAIN_ADJUST, PLAIN_CANCEL, NEVER_RECEIVED = "C-010", "C-040", "C-044"
"""The requirements on which other checks rely."""


class Kit(Client):
    """The tools of one check. Every request goes on record."""

    def __init__(
        self, target: Target, orders: Orders, transport: Transport, record: Record, pause: Pause = asyncio.sleep
    ) -> None:
        super().__init__(target, orders, transport, record)
        self.pause = pause
        """Waits for some seconds; the runner lets other checks run in the meantime."""

    async def connect(self) -> Connection:
        """Open a connection for several requests, or for one in pieces; the check must close it.

        Raises ConnectionFailed, or NotChecked where nothing may be sent.
        """
        return await Connection.open(self.target.endpoint)

    def order(self, **changes: object) -> Body:
        """Return a new plain adjust (`Orders.order`), for a new customer unless the user has named one."""
        return self.orders.order(**changes)

    def cancel_body(self, adjust: Body, number: str | None = None, operation: CancelOperation | None = None) -> Body:
        """Return a correct cancel of an adjust, with a new number unless one is given.

        Without `operation` it is for the operation that this external system has (`Target.plain_cancel`).
        """
        return cancel_of(adjust, number or self.orders.name("x"), operation or self.target.plain_cancel)

    async def cancel(self, adjust: Body, *, number: str | None = None, label: str = "its cancel") -> Answer:
        """Send a correct cancel of an adjust, by the operation that this external system has."""
        body = self.cancel_body(adjust, number)
        return await self.call(self.target.plain_cancel, body, label=label)

    def meaning(self, answer: Answer) -> Meaning | None:
        """Return what the reply to a cancel says; None if it cannot be read."""
        return self.target.meaning(answer.code)

    async def applied(self, order: Body, label: str = "an adjust", headers: Headers | None = None) -> Answer:
        """Send an adjust on which the check relies. Raises NotChecked if it is not applied."""
        answer = await self.adjust(order, label=label, headers=headers)
        if not answer.is_success:
            message = f"{label} is not applied: {answer}. {PLAIN_ADJUST} must pass first"
            raise NotChecked(message)
        return answer

    async def reversed(self, order: Body, label: str = "its cancel") -> Answer:
        """Send a cancel on which the check relies. Raises NotChecked if it does not reverse the adjust."""
        answer = await self.cancel(order, label=label)
        if self.meaning(answer) is not Meaning.REVERSED:
            message = f"{label} does not reverse the adjust: {answer}. {PLAIN_CANCEL} must pass first"
            raise NotChecked(message)
        return answer

    async def refused_without_effect(self, order: Body, answer: Answer, what: str) -> None:
        """Expect that an adjust was refused, and that a cancel of `order`, which has its number, reverses nothing."""
        self.expect(answer.is_refusal, f"{what}: expected a refusal", answer)
        cancel = await self.cancel(order, label=f"a cancel after {what}")
        if self.meaning(cancel) is Meaning.REVERSED:
            # An external system that answers so to every cancel breaks another requirement.
            await self.require_never_received()
            self.expect(False, f"a cancel after {what}: expected that there is nothing to reverse", cancel)

    async def require_never_received(self) -> None:
        """Send a cancel of an adjust that was never sent. Raises NotChecked if it succeeds."""
        answer = await self.cancel(self.order(), label="a cancel of an adjust that was never sent")
        if self.meaning(answer) is Meaning.REVERSED:
            message = f"{answer.exchange.label} is answered with {answer}. {NEVER_RECEIVED} must pass first"
            raise NotChecked(message)

    def expect(self, holds: bool, expected: str, came: object) -> None:  # noqa: FBT001 - reads as a sentence
        """Raise BrokenRequirement unless something holds; the message says what was expected and what came."""
        if not holds:
            message = f"{expected}; came: {came}"
            raise BrokenRequirement(message)

    def expect_code(self, answer: Answer, *codes: str) -> None:
        """Expect one of these codes."""
        wanted = " or ".join(quoted(code) for code in codes)
        self.expect(answer.code in codes, f"{answer.exchange.label}: expected code {wanted}", answer)

    @property
    def sees_effects(self) -> bool:
        """Tell whether the balance shows the effects of this check alone, because no other check uses its customer."""
        return self.target.balance is not None and self.target.account.customer is None

    async def balance(self, order: Body, label: str = "the balance") -> Decimal:
        """Return the balance of an order's customer; 0 if there is none. Raises NotChecked if it cannot be read."""
        source = self.target.balance
        if source is None:
            message = "--balance-url is missing"
            raise NotChecked(message)
        account = (str(order["thirdServerCode"]), str(order["currency"]))
        answer = await self.get(filled(source.url, *account, is_url=True), label)
        if answer.http is None or answer.http.status != 200:  # noqa: PLR2004 - OK
            message = f"the balance cannot be read: {answer.problem or answer}"
            raise NotChecked(message)
        return balance_at(answer.http.body, filled(source.pointer, *account, is_url=False))


def filled(template: str, customer: str, currency: str, *, is_url: bool) -> str:
    """Return a URL or a JSON pointer with its placeholders replaced."""
    for placeholder, value in (("{thirdServerCode}", customer), ("{currency}", currency)):
        escaped = quote(value, safe="") if is_url else value.replace("~", "~0").replace("/", "~1")
        template = template.replace(placeholder, escaped)
    return template


def balance_at(document: bytes, pointer: str) -> Decimal:
    """Return the balance at a JSON pointer (RFC 6901), exactly; 0 if there is no value. Raises NotChecked."""
    try:
        value = json.loads(document, parse_float=Decimal, parse_int=Decimal)
    except ValueError:
        message = f"the balance cannot be read: the body is not JSON: {quoted(document)}"
        raise NotChecked(message) from None
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal():
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = None
    try:
        return Decimal(0) if value is None else Decimal(str(value) if isinstance(value, str) else value)
    except (InvalidOperation, TypeError, ValueError):
        message = f"the balance at {pointer} is not a number: {quoted(value)}"
        raise NotChecked(message) from None
