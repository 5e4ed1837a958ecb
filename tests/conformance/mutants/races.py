"""Faults that show only when several requests arrive at once: what was read is out of date when it is written."""

import asyncio
from collections import defaultdict
from decimal import Decimal
from typing import ClassVar
from unittest.mock import patch

from pydantic_core import from_json

from contract.operations import Operation
from simulator import replies
from simulator.book_records import NumberRow, NumberState, ReceivedAdjust
from simulator.books import Books
from simulator.call_journal import Request
from simulator.database import fetch_one
from simulator.faults import ReplyMode
from simulator.request_handler import HandledReply
from simulator.service import SimulatorService
from simulator.statement import BookingKind
from tests.conformance.mutants.mutant import Mutant, both, mutant, with_books, with_service

BETWEEN_READ_AND_WRITE_S = 0.03


def _row_of(books: Books, number: str | None) -> NumberRow:
    return books._row(number or "")  # noqa: SLF001 - a fault may use the internals of what it breaks


class ReadsBeforeItLocks(SimulatorService):
    """Reads a number, waits 30 ms, and decides on what it has read."""

    operations: ClassVar[frozenset[Operation]] = frozenset()

    async def handle(self, request: Request) -> tuple[int, HandledReply]:
        """Read, wait, and write."""
        if request.operation not in self.operations:
            return await super().handle(request)
        own, reverse = request.numbers()
        read = await self.database.run(_row_of, self.handler.books, reverse or own)
        await asyncio.sleep(BETWEEN_READ_AND_WRITE_S)
        return await self.database.run(self._handle_as_read, request, read)

    def _handle_as_read(self, request: Request, read: NumberRow) -> tuple[int, HandledReply]:
        books = self.handler.books
        actual = _row_of(books, read.number)
        seen = self.seen(read, actual)
        with patch.object(
            books,
            "_row",
            lambda number: seen if number == seen.number else Books._row(books, number),  # noqa: SLF001 - as above
        ):
            return self.handler.handle(request)

    def seen(self, read: NumberRow, actual: NumberRow) -> NumberRow:
        """Return the row on which the request is decided."""
        del actual
        return read


class AdjustsRace(ReadsBeforeItLocks):
    """Has no lock against the same adjust at the same time: both are applied."""

    operations = frozenset({Operation.ADJUST})

    def seen(self, read: NumberRow, actual: NumberRow) -> NumberRow:
        """See cancels that came in between; they are another fault."""
        return read if actual.state is NumberState.APPLIED else actual


class CancelsRace(ReadsBeforeItLocks):
    """Has no lock against several cancels of one adjust at the same time: all reverse it."""

    operations = frozenset({Operation.CANCEL_ADJUST, Operation.CANCEL_OPERATION})

    def seen(self, read: NumberRow, actual: NumberRow) -> NumberRow:
        """See adjusts that came in between; they are another fault."""
        return read if actual.state is NumberState.REVERSED else actual


class AdjustAndCancelRace(ReadsBeforeItLocks):
    """Does not see a cancel that comes while its adjust is being applied."""

    operations = frozenset({Operation.ADJUST})

    def seen(self, read: NumberRow, actual: NumberRow) -> NumberRow:
        """See the same adjust that came in between; it is another fault."""
        return read if actual.state is NumberState.BURNT else actual


class FailsWhileInProcess(SimulatorService):
    """Answers HTTP 500 while a request with the same number is in process, as after a violated unique key."""

    operations: ClassVar[frozenset[Operation]] = frozenset()
    _in_process: ClassVar[set[str | None]] = set()

    async def handle(self, request: Request) -> tuple[int, HandledReply]:
        """Handle one request of a number at a time, and refuse others."""
        own, reverse = request.numbers()
        number = reverse or own
        if request.operation not in self.operations:
            return await super().handle(request)
        if number in self._in_process:
            call_id = await self.database.run(self.handler.journal.begin, request, None)
            return call_id, HandledReply(replies.FAILED, ReplyMode.HTTP_500)
        self._in_process.add(number)
        try:
            await asyncio.sleep(BETWEEN_READ_AND_WRITE_S)
            return await super().handle(request)
        finally:
            self._in_process.discard(number)


class AdjustsFail(FailsWhileInProcess):
    """Answers HTTP 500 to an adjust while the same one is in process."""

    operations = frozenset({Operation.ADJUST})


class CancelsFail(FailsWhileInProcess):
    """Answers HTTP 500 to a cancel while another cancel of the adjust is in process."""

    operations = frozenset({Operation.CANCEL_ADJUST, Operation.CANCEL_OPERATION})


Account = tuple[str, str]


class BooksOnOldBalances(Books):
    """Changes the balance that was read before, if one was."""

    read: ClassVar[dict[Account, str]] = {}

    def _change_balance(self, adjust: ReceivedAdjust, change: Decimal, kind: BookingKind) -> None:
        account = (adjust.thirdServerCode, adjust.currency)
        if account in self.read:
            self._db.execute("REPLACE INTO accounts VALUES (?, ?, ?)", (*account, self.read[account]))
        super()._change_balance(adjust, change, kind)


class BalancesRace(SimulatorService):
    """Locks the number of the adjust, but not the balance: changes by other adjusts in between are lost."""

    _locks: ClassVar[defaultdict[str | None, asyncio.Lock]] = defaultdict(asyncio.Lock)

    async def handle(self, request: Request) -> tuple[int, HandledReply]:
        """Read, wait, and write."""
        own, reverse = request.numbers()
        account = _account_of(request)
        async with self._locks[reverse or own]:
            read = await self.database.run(self._balance, account)
            await asyncio.sleep(BETWEEN_READ_AND_WRITE_S)
            return await self.database.run(self._handle_as_read, request, {account: read} if read else {})

    def _handle_as_read(self, request: Request, read: dict[Account, str]) -> tuple[int, HandledReply]:
        with patch.object(BooksOnOldBalances, "read", read):
            return self.handler.handle(request)

    def _balance(self, account: Account) -> str | None:
        found = fetch_one(
            self.database.connection,
            "SELECT balance FROM accounts WHERE third_server_code = ? AND currency = ?",
            *account,
        )
        return found["balance"] if found else None


def _account_of(request: Request) -> Account:
    try:
        body = from_json(request.body)
        return str(body["thirdServerCode"]), str(body["currency"])
    except (ValueError, LookupError, TypeError):
        return "", ""


RACES: dict[str, Mutant] = {
    "concurrent-adjusts-are-all-applied": mutant(with_service(AdjustsRace), "C-013"),
    "concurrent-adjusts-get-http-500": mutant(with_service(AdjustsFail), "C-013"),
    "concurrent-cancels-all-reverse": mutant(with_service(CancelsRace), "C-043"),
    "concurrent-cancels-get-http-500": mutant(with_service(CancelsFail), "C-043"),
    "an-adjust-does-not-see-its-cancel": mutant(with_service(AdjustAndCancelRace), "C-047"),
    "concurrent-changes-of-a-balance-are-lost": mutant(
        both(with_service(BalancesRace), with_books(BooksOnOldBalances)), "C-082"
    ),
}
