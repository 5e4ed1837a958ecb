"""Small brokers that break one rule of cancels, connections or books each, by the requirement that they break."""

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

from tests.conformance.small_broker import (
    APPLIED,
    NOT_APPLIED,
    REFUSED,
    REVERSED,
    Adjust,
    Cancel,
    Fields,
    SmallBroker,
    reply_bytes,
)

HALF_A_DAY_MS = 12 * 3_600_000
PAUSE_S = 0.002
IDLE_S = 0.8


class ComparesSigns(SmallBroker):
    """Compares the amount of a cancel with that of a negative adjust as text."""

    def fits_amount(self, cancel: Fields, adjust: Fields) -> bool:
        """Break C-040."""
        return bool(cancel.get("amount", adjust["amount"]) == adjust["amount"])


class ReversesNothing(SmallBroker):
    """Answers a cancel with success and does not move the balance."""

    async def give_back(self, adjust: Adjust) -> None:
        """Break C-040."""


class GivesBackAgainOnARepeat(SmallBroker):
    """Carries out a repeated cancel again."""

    async def repeat(self, cancel: Cancel) -> str:
        """Break C-041."""
        adjust = self.adjusts.get(cancel.reverses)
        if adjust is not None and adjust.is_reversed and self.cancels[cancel.number][0] == cancel.reverses:
            await self.give_back(adjust)
        return await super().repeat(cancel)


class RefusesRepeatedCancels(SmallBroker):
    """Answers a repeated cancel as a duplicate."""

    async def repeat(self, cancel: Cancel) -> str:
        """Break C-041."""
        del cancel
        return REFUSED


class GivesBackForEachNumber(SmallBroker):
    """Recognises only the number of a cancel."""

    async def already_reversed(self, adjust: Adjust) -> str:
        """Break C-042."""
        await self.give_back(adjust)
        return REVERSED


class ReadsBeforeItLocks(SmallBroker):
    """Two cancels at the same time both find an adjust that is not reversed."""

    async def reverse(self, cancel: Cancel, adjust: Adjust | None) -> str:
        """Break C-043."""
        if adjust is None or adjust.code != APPLIED or adjust.is_reversed:
            return await super().reverse(cancel, adjust)
        await asyncio.sleep(PAUSE_S)
        adjust.is_reversed = True
        await self.give_back(adjust)
        return REVERSED


class SaysNotApplied(SmallBroker):
    """Answers a cancel without an adjust with US_0000001."""

    def never_received(self, cancel: Cancel) -> str:
        """Break C-044."""
        del cancel
        return NOT_APPLIED


class BurnsNothing(SmallBroker):
    """Applies an adjust that arrives after its cancel."""

    def is_burnt(self, number: str) -> bool:
        """Break C-045."""
        del number
        return False


class ForgetsRefusedAdjusts(SmallBroker):
    """Answers the cancel of a refused adjust with US_0000002."""

    def not_applied(self) -> str:
        """Break C-046."""
        return "US_0000002"


class ChecksTooEarly(SmallBroker):
    """Looks for a cancel before it stores the adjust."""

    async def apply(self, body: Fields, *, is_burnt: bool) -> str:
        """Break C-047."""
        await asyncio.sleep(PAUSE_S)
        return await super().apply(body, is_burnt=is_burnt)


class ForgetsCancelsInProcess(SmallBroker):
    """Finishes a slow adjust whose cancel it has answered with US_0000002."""

    async def adjust_slowly(self, body: Fields) -> str:
        """Break C-048."""
        is_burnt = self.is_burnt(body["requestUniqueNo"])
        await asyncio.sleep(0.6)
        return await self.apply(body, is_burnt=is_burnt)


class RefusesOldCancels(SmallBroker):
    """Refuses a cancel that was made half a day before it arrives."""

    def fits(self, cancel: Cancel, adjust: Adjust | None) -> bool:
        """Break C-049."""
        made = cancel.body.get("requestTime") or cancel.body["requesttime"]
        return super().fits(cancel, adjust) and (adjust is None or made > adjust.body["requestTime"] - HALF_A_DAY_MS)


class RefusesOldTimestamps(SmallBroker):
    """Refuses a cancel whose timestamp header is half a day older than its body."""

    async def code(self, path: str, headers: dict[str, str], fields: Fields) -> str:
        """Break C-049."""
        made = fields.get("requestTime") or fields["requesttime"]
        is_old = path != "/" and int(headers.get("timestamp") or made) < made - HALF_A_DAY_MS
        return REFUSED if is_old else await super().code(path, headers, fields)


class KeepsBalancesPositive(SmallBroker):
    """Refuses a cancel that makes the balance negative."""

    def fits(self, cancel: Cancel, adjust: Adjust | None) -> bool:
        """Break C-050."""
        if adjust is None or adjust.code != APPLIED or adjust.is_reversed:
            return super().fits(cancel, adjust)
        left = self.balances[adjust.body["thirdServerCode"]] - Decimal(adjust.body["amount"])
        return super().fits(cancel, adjust) and left >= 0


class TrustsCancelNumbers(SmallBroker):
    """Answers each cancel under a used number with the stored code."""

    async def repeat(self, cancel: Cancel) -> str:
        """Break C-051."""
        return self.cancels[cancel.number][1]


class IgnoresAmounts(SmallBroker):
    """Accepts every positive amount in a cancel."""

    def fits_amount(self, cancel: Fields, adjust: Fields) -> bool:
        """Break C-052."""
        del adjust
        return Decimal(cancel.get("amount", 1)) > 0


class IgnoresCurrencies(SmallBroker):
    """Does not compare currencies."""

    compared = ("amount", "user", "customer", "type")


class IgnoresUsers(SmallBroker):
    """Does not compare users."""

    compared = ("amount", "currency", "customer", "type")


class IgnoresCustomers(SmallBroker):
    """Does not compare customers."""

    compared = ("amount", "currency", "user", "type")


class IgnoresSigns(SmallBroker):
    """Compares amounts without their sign."""

    def fits_amount(self, cancel: Fields, adjust: Fields) -> bool:
        """Break C-055."""
        amount = str(cancel.get("amount", adjust["amount"]))
        return super().fits_amount(cancel | {"amount": amount.lstrip("-")}, adjust)


class RefusesPlacedOrders(SmallBroker):
    """Knows reverse_type 2 only."""

    async def cancel_operation(self, cancel: Cancel) -> str:
        """Break C-070."""
        return REFUSED if cancel.body["reverse_type"] == 1 else await super().cancel_operation(cancel)


class RefusesClosedPositions(SmallBroker):
    """Knows reverse_type 1 only."""

    async def cancel_operation(self, cancel: Cancel) -> str:
        """Break C-071."""
        return REFUSED if cancel.body["reverse_type"] == 2 else await super().cancel_operation(cancel)


class RefusesRepeatedOperations(SmallBroker):
    """Answers a repeated cancel operation as a duplicate."""

    async def cancel_operation(self, cancel: Cancel) -> str:
        """Break C-072."""
        return REFUSED if cancel.number in self.cancels else await super().cancel_operation(cancel)


class ClaimsThatItReversed(SmallBroker):
    """Answers a cancel operation without an adjust with success."""

    async def cancel_operation(self, cancel: Cancel) -> str:
        """Break C-073."""
        return await super().cancel_operation(cancel) if cancel.reverses in self.adjusts else REVERSED


class IgnoresReverseTypes(SmallBroker):
    """Does not compare the reverse_type."""

    compared = ("amount", "currency", "user", "customer")


class AddsFloats(SmallBroker):
    """Keeps balances as binary floating point."""

    async def move(self, customer: str, change: Decimal) -> None:
        """Break C-080."""
        self.balances[customer] = Decimal(float(self.balances.get(customer, 0)) + float(change))


class BooksBeforeItChecks(SmallBroker):
    """Moves the balance for an adjust that it then refuses."""

    async def refuse(self, body: Fields) -> str:
        """Break C-081."""
        await self.move(body["thirdServerCode"], Decimal(1))
        return await super().refuse(body)


class LosesUpdates(SmallBroker):
    """Reads a balance, and writes it back a moment later."""

    async def move(self, customer: str, change: Decimal) -> None:
        """Break C-082."""
        before = self.balances.get(customer, Decimal(0))
        await asyncio.sleep(PAUSE_S)
        self.balances[customer] = before + change


class RepeatsTheFirstReply(SmallBroker):
    """Answers each request on a connection with the reply to the first one."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Break C-060."""
        reply = None
        while (request := await self.read(reader)) is not None:
            answer = reply_bytes(await self.answer(*request))
            reply = reply or answer
            writer.write(reply)


class ClosesWithoutNotice(SmallBroker):
    """Closes each connection after one reply, and does not say so."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Break C-060."""
        if (request := await self.read(reader)) is not None:
            writer.write(reply_bytes(await self.answer(*request)))
            await writer.drain()


class ForgetsIdleConnections(SmallBroker):
    """Swallows a request on a connection that was idle, as a firewall does that has forgotten the connection."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Break C-061."""
        loop = asyncio.get_running_loop()
        while True:
            since = loop.time()
            if (request := await self.read(reader)) is None:
                return
            if loop.time() - since > IDLE_S:
                continue
            writer.write(reply_bytes(await self.answer(*request)))


@dataclass
class ReadsOneRequestAtATime(SmallBroker):
    """Does not read a request before the previous one is complete."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes] | None:
        """Break C-062."""
        async with self.lock:
            return await super().read(reader)


class ReadsWhatItGets(SmallBroker):
    """Carries out a request whose body is incomplete, if it is JSON."""

    async def read_body(self, reader: asyncio.StreamReader, length: int) -> bytes:
        """Break C-063."""
        try:
            return await reader.readexactly(length)
        except asyncio.IncompleteReadError as cut:
            return cut.partial if cut.partial.endswith(b"}") else await reader.readexactly(1)
