"""Faults of cancels, of either operation."""

import time
from decimal import Decimal
from typing import ClassVar

from contract.operations import CODE_NEVER_RECEIVED, CODE_NOT_APPLIED, CODE_SUCCESS
from simulator import faults, replies, request_handler
from simulator.book_records import AdjustRecord, Cancel, NumberRow, NumberState, ReceivedAdjust
from simulator.books import Books
from simulator.call_journal import Request
from simulator.database import fetch_one, transaction
from simulator.faults import AdjustFault, Behaviour, BookEffect, ReplyMode
from simulator.replies import Result
from simulator.request_bodies import ReceivedCancelAdjust
from simulator.request_handler import HandledReply, RequestHandler
from tests.conformance.mutants.mutant import (
    Mutant,
    Plant,
    both,
    codes_exchanged,
    mutant,
    replacing,
    with_books,
    with_handler,
)

_FAILURE = Result("US_0000500", "the cancel failed")
_CANCEL_ADJUST = "_cancel_adjust"
_OLD_AFTER_MS = 60_000
_contradictions = NumberRow.contradictions


class RepeatFails(RequestHandler):
    """Answers the same cancel adjust again with a failure."""

    _numbers: ClassVar[set[str | None]] = set()

    def _cancel_adjust(self, request: Request) -> HandledReply:
        own, _ = request.numbers()
        reply = super()._cancel_adjust(request)
        if own in self._numbers:
            return HandledReply(_FAILURE)
        if reply.result.code == CODE_SUCCESS:
            self._numbers.add(own)
        return reply


class AnotherNumberFails(Books):
    """Answers a cancel of a reversed adjust under a new number with a failure."""

    def _already_reversed(self, _row: NumberRow) -> Result:
        return _FAILURE


class ReversesAgain(Books):
    """Reverses an adjust again under each new cancel number."""

    def _already_reversed(self, row: NumberRow) -> Result:
        return self._reverse(row)


class RepeatReversesAgain(RequestHandler):
    """Reverses an adjust again for each repeat of its cancel adjust."""

    def _cancel_adjust(self, request: Request) -> HandledReply:
        own, reverse_number = request.numbers()
        before = self.books.number(reverse_number or "")
        reply = super()._cancel_adjust(request)
        if before.times_reversed and own in {each.request_unique_no for each in before.cancels}:
            reverse_again(self.books, before.request_unique_no)
        return reply


def reverse_again(books: Books, number: str) -> None:
    """Give the amount of an adjust back once more."""
    with transaction(books._db):  # noqa: SLF001 - a fault may use the internals of what it breaks
        books._reverse(books._row(number))  # noqa: SLF001 - as above


class NoFence(Books):
    """Applies an adjust that arrives after its cancel."""

    def adjust(self, adjust: ReceivedAdjust, *, apply: bool = True, refuse_if_burnt: bool = True) -> Result:
        """Apply."""
        del refuse_if_burnt
        return super().adjust(adjust, apply=apply, refuse_if_burnt=False)


class FenceHoldsOnce(Books):
    """Refuses an adjust that arrives after its cancel once, and applies its repeat."""

    def adjust(self, adjust: ReceivedAdjust, *, apply: bool = True, refuse_if_burnt: bool = True) -> Result:
        """Forget a refusal when the adjust comes again."""
        row = self._row(adjust.requestUniqueNo)
        if row.burnt and row.received is not None and row.state is NumberState.NOT_APPLIED:
            self._db.execute("DELETE FROM numbers WHERE number = ?", (row.number,))
        return super().adjust(adjust, apply=apply, refuse_if_burnt=refuse_if_burnt)


class RefusesOldCancels(RequestHandler):
    """Refuses a cancel whose requestTime is more than a minute ago."""

    def _cancel_adjust(self, request: Request) -> HandledReply:
        body = request_handler.parse_request(ReceivedCancelAdjust, request)
        if body.requestTime < time.time() * 1000 - _OLD_AFTER_MS:
            return HandledReply(_FAILURE)
        return super()._cancel_adjust(request)


class RefusesOldTimestamps(RequestHandler):
    """Refuses a cancel whose header timestamp is more than a minute ago."""

    def _cancel_adjust(self, request: Request) -> HandledReply:
        request_handler.parse_request(ReceivedCancelAdjust, request)
        if int(request.header("timestamp") or "0") < time.time() * 1000 - _OLD_AFTER_MS:
            return HandledReply(_FAILURE)
        return super()._cancel_adjust(request)


class AppliesRefusedAdjusts(Books):
    """Applies an adjust although it answers that it is refused."""

    def _refuse(self, row: NumberRow, adjust: ReceivedAdjust, result: Result) -> Result:
        if result is replies.REFUSED:
            self._apply(row, adjust)
            self._save(self._row(row.number)._replace(received=AdjustRecord(adjust, result)))
            return result
        return super()._refuse(row, adjust, result)


class ReversesNothing(Books):
    """Answers that the amount is given back, and gives nothing back."""

    def _reverse(self, row: NumberRow) -> Result:
        self._save(row._replace(state=NumberState.REVERSED, times_reversed=row.times_reversed + 1))
        return replies.REVERSED


class NeverNegative(Books):
    """Refuses a cancel that would make the balance negative."""

    def _reverse(self, row: NumberRow) -> Result:
        assert row.received is not None
        adjust = row.received.adjust
        account = adjust.thirdServerCode, adjust.currency
        found = fetch_one(
            self._db, "SELECT balance FROM accounts WHERE third_server_code = ? AND currency = ?", *account
        )
        if found is None or Decimal(found["balance"]) < Decimal(adjust.amount):
            return _FAILURE
        return super()._reverse(row)

    def _save_cancel(self, cancel: Cancel, result: Result) -> None:
        if result != _FAILURE:
            super()._save_cancel(cancel, result)


class AnswersAnotherCancelAsARepeat(Books):
    """Answers another cancel under a used number with the result of the first one."""

    def _recorded_result(self, cancel: Cancel) -> Result | None:
        first = fetch_one(self._db, "SELECT code, msg FROM cancels WHERE number = ?", cancel.number)
        return Result(first["code"], first["msg"]) if first else None


class CarriesOutAnotherCancel(Books):
    """Carries out another cancel under a used number."""

    def _recorded_result(self, cancel: Cancel) -> Result | None:
        result = super()._recorded_result(cancel)
        if result is not replies.NUMBER_REUSED:
            return result
        self._db.execute("DELETE FROM cancels WHERE number = ?", (cancel.number,))
        return None


def not_comparing(*fields: str) -> Plant:
    """Accept a cancel that differs from its adjust in these fields."""

    def others(self: NumberRow, cancel: Cancel) -> list[str]:
        return [each for each in _contradictions(self, cancel) if each not in fields]

    return replacing(NumberRow, contradictions=others)


def _contradictions_as_floats(row: NumberRow, cancel: Cancel) -> list[str]:
    """Compare amounts as floats."""
    found = _contradictions(row, cancel)
    if row.received is not None and "amount" in found:
        amount = dict(cancel.stated_fields)["amount"]
        assert isinstance(amount, Decimal)
        if float(amount) == abs(float(row.received.adjust.amount)):
            found.remove("amount")
    return found


_LATE_AND_UNGUARDED = Behaviour(BookEffect.DELAY_UNGUARDED, ReplyMode.LATE)


class AppliesLate(RequestHandler):
    """Applies a slow adjust only when its reply is due, even if a cancel was answered in between."""

    def _change_books(self, effect: BookEffect, adjust: ReceivedAdjust, due_ns: int) -> Result:
        result = super()._change_books(effect, adjust, due_ns)
        return replies.APPLIED if effect is BookEffect.DELAY_UNGUARDED else result


CANCELS: dict[str, Mutant] = {
    "answers-never-received-for-an-applied-adjust": mutant(
        codes_exchanged({CODE_SUCCESS: CODE_NEVER_RECEIVED}, _CANCEL_ADJUST), "C-040"
    ),
    "the-same-cancel-again-fails": mutant(with_handler(RepeatFails), "C-041"),
    "the-same-cancel-again-reverses-again": mutant(with_handler(RepeatReversesAgain), "C-041"),
    "a-second-cancel-fails": mutant(with_books(AnotherNumberFails), "C-042"),
    "a-second-cancel-reverses-again": mutant(with_books(ReversesAgain), "C-042"),
    "answers-reversed-for-an-unseen-number": mutant(
        codes_exchanged({CODE_NEVER_RECEIVED: CODE_SUCCESS}, _CANCEL_ADJUST), "C-044"
    ),
    "answers-not-applied-for-an-unseen-number": mutant(
        codes_exchanged({CODE_NEVER_RECEIVED: CODE_NOT_APPLIED}, _CANCEL_ADJUST), "C-044"
    ),
    "exchanges-not-applied-and-never-received": mutant(
        codes_exchanged({CODE_NEVER_RECEIVED: CODE_NOT_APPLIED, CODE_NOT_APPLIED: CODE_NEVER_RECEIVED}, _CANCEL_ADJUST),
        "C-044",
        "C-046",
    ),
    "applies-an-adjust-after-its-cancel": mutant(with_books(NoFence), "C-045"),
    "applies-the-repeat-of-a-late-adjust": mutant(with_books(FenceHoldsOnce), "C-045"),
    "answers-never-received-for-a-refused-adjust": mutant(
        codes_exchanged({CODE_NOT_APPLIED: CODE_NEVER_RECEIVED}, _CANCEL_ADJUST), "C-046"
    ),
    "answers-reversed-for-a-refused-adjust": mutant(
        codes_exchanged({CODE_NOT_APPLIED: CODE_SUCCESS}, _CANCEL_ADJUST), "C-046"
    ),
    "applies-an-adjust-that-it-refuses": mutant(with_books(AppliesRefusedAdjusts), "C-046"),
    "answers-reversed-and-reverses-nothing": mutant(with_books(ReversesNothing), "C-040"),
    "answers-never-received-while-in-process": mutant(
        both(
            with_handler(AppliesLate),
            replacing(faults, ADJUST_BEHAVIOURS={**faults.ADJUST_BEHAVIOURS, AdjustFault.LATE: _LATE_AND_UNGUARDED}),
        ),
        "C-048",
    ),
    "refuses-a-cancel-with-an-old-time": mutant(with_handler(RefusesOldCancels), "C-049"),
    "refuses-a-cancel-with-an-old-timestamp": mutant(with_handler(RefusesOldTimestamps), "C-049"),
    "refuses-a-negative-balance": mutant(with_books(NeverNegative), "C-050"),
    "answers-another-cancel-as-a-repeat": mutant(with_books(AnswersAnotherCancelAsARepeat), "C-051"),
    "carries-out-another-cancel-under-a-used-number": mutant(with_books(CarriesOutAnotherCancel), "C-051"),
    "compares-amounts-as-floats": mutant(replacing(NumberRow, contradictions=_contradictions_as_floats), "C-033"),
    "accepts-a-cancel-with-another-amount": mutant(not_comparing("amount"), "C-052"),
    "accepts-a-cancel-with-another-currency": mutant(not_comparing("currency"), "C-053"),
    "accepts-a-cancel-of-another-user": mutant(not_comparing("userName"), "C-054"),
    "accepts-a-cancel-of-another-customer": mutant(not_comparing("thirdServerCode"), "C-054"),
}
