"""Faults of adjusts: refused kinds, repeats, and numbers that are used again."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import ClassVar

from contract.same_request import Identity, differences
from simulator import book_records, books, replies
from simulator.book_records import ReceivedAdjust
from simulator.books import Books
from simulator.call_journal import Request
from simulator.replies import Result
from simulator.request_handler import HandledReply, RequestHandler
from simulator.statement import BookingKind
from tests.conformance.mutants.mutant import Mutant, Plant, both, mutant, replacing, with_books, with_handler

ALL_FIELDS = frozenset(
    {"thirdServerCode", "userName", "currency", "bizType", "operationType", "amount", "orderId", "companyId"}
)
FORGETS_AFTER_S = 3.0
_DUPLICATE = Result("US_0000408", "the number was handled before")


def refusing(condition: Callable[[ReceivedAdjust], bool]) -> Plant:
    """Refuse an adjust that the contract allows, and record it as received and not applied."""

    class Refuses(Books):
        def adjust(self, adjust: ReceivedAdjust, *, apply: bool = True, refuse_if_burnt: bool = True) -> Result:
            return super().adjust(adjust, apply=apply and not condition(adjust), refuse_if_burnt=refuse_if_burnt)

    return with_books(Refuses)


class ForgetfulBooks(Books):
    """Books that can forget an adjust that they have received."""

    def forget(self, number: str) -> None:
        """Forget the adjust, but not that its number is burnt."""
        self._db.execute("DELETE FROM numbers WHERE number = ? AND NOT burnt", (number,))

    def is_repeat(self, adjust: ReceivedAdjust) -> bool:
        """Tell whether the same adjust was received before."""
        received = self._row(adjust.requestUniqueNo).received
        return received is not None and not differences(received.adjust.identity, adjust.identity)


class AppliesEachRepeat(ForgetfulBooks):
    """Applies an adjust each time that it is received."""

    def adjust(self, adjust: ReceivedAdjust, *, apply: bool = True, refuse_if_burnt: bool = True) -> Result:
        """Forget the first one, then apply."""
        if self.is_repeat(adjust):
            self.forget(adjust.requestUniqueNo)
        return super().adjust(adjust, apply=apply, refuse_if_burnt=refuse_if_burnt)


class AppliesNothing(Books):
    """Answers that each adjust is applied, and moves no balance; its cancel moves none, either."""

    def _change_balance(self, adjust: ReceivedAdjust, change: Decimal, kind: BookingKind) -> None:
        """Leave the balance as it is."""


class MovesTheBalanceAgain(ForgetfulBooks):
    """Moves the balance by each repeat, although number and reply are right."""

    def adjust(self, adjust: ReceivedAdjust, *, apply: bool = True, refuse_if_burnt: bool = True) -> Result:
        """Move the balance for a repeat."""
        if self.is_repeat(adjust):
            self._change_balance(adjust, Decimal(adjust.amount), BookingKind.APPLIED)
        return super().adjust(adjust, apply=apply, refuse_if_burnt=refuse_if_burnt)


class AnswersRepeatsWithAFailure(ForgetfulBooks):
    """Changes nothing for a repeat, and answers that the number was handled before."""

    def adjust(self, adjust: ReceivedAdjust, *, apply: bool = True, refuse_if_burnt: bool = True) -> Result:
        """Answer a repeat with a failure."""
        is_repeat = self.is_repeat(adjust)
        first = super().adjust(adjust, apply=apply, refuse_if_burnt=refuse_if_burnt)
        return _DUPLICATE if is_repeat else first


class ForgetsAfterSomeSeconds(ForgetfulBooks):
    """Forgets an adjust after 3 s, as a cache with a time to live does. A cancel still finds it."""

    _received_at: ClassVar[dict[str, float]] = {}

    def adjust(self, adjust: ReceivedAdjust, *, apply: bool = True, refuse_if_burnt: bool = True) -> Result:
        """Apply what was forgotten."""
        number, now = adjust.requestUniqueNo, time.monotonic()
        if now - self._received_at.setdefault(number, now) > FORGETS_AFTER_S:
            self.forget(number)
        return super().adjust(adjust, apply=apply, refuse_if_burnt=refuse_if_burnt)


class DeduplicatesByTrace(RequestHandler):
    """Treats an adjust with a known trace as a repeat, whatever its number."""

    _numbers: ClassVar[dict[str, str]] = {}

    def _adjust(self, request: Request) -> HandledReply:
        own, _ = request.numbers()
        is_repeat = own and request.trace and self._numbers.setdefault(request.trace, own) != own
        return HandledReply(replies.APPLIED) if is_repeat else super()._adjust(request)


class RefusesAnotherTrace(RequestHandler):
    """Treats an adjust under a known number with another trace as another request."""

    _traces: ClassVar[dict[str, str | None]] = {}

    def _adjust(self, request: Request) -> HandledReply:
        own, _ = request.numbers()
        first = self._traces.setdefault(own or "", request.trace)
        return super()._adjust(request) if first == request.trace else HandledReply(replies.NUMBER_REUSED)


def ignoring(*fields: str) -> Plant:
    """Compare a repeat with the first adjust without these fields; the first result is the answer."""

    def without(first: Identity, repeat: Identity) -> list[str]:
        return [field for field in differences(first, repeat) if field not in fields]

    return both(replacing(book_records, differences=without), replacing(books, differences=without))


class AppliesAnotherBody(Books):
    """Applies each adjust whose body differs from the first one under its number."""

    def reuses_adjust_number(self, adjust: ReceivedAdjust) -> bool:
        """Never complain."""
        del adjust
        return False

    def adjust(self, adjust: ReceivedAdjust, *, apply: bool = True, refuse_if_burnt: bool = True) -> Result:
        """Apply another body, too."""
        if super().reuses_adjust_number(adjust):
            self._db.execute("DELETE FROM numbers WHERE number = ?", (adjust.requestUniqueNo,))
        return super().adjust(adjust, apply=apply, refuse_if_burnt=refuse_if_burnt)


def also_comparing(**read: Callable[[ReceivedAdjust], str | int | None]) -> Plant:
    """Compare a repeat with the first adjust in more fields than identify it."""
    correct: Callable[[ReceivedAdjust], Identity] = vars(ReceivedAdjust)["identity"].fget

    def identity(self: ReceivedAdjust) -> Identity:
        return {**correct(self), **{name: value(self) for name, value in read.items()}}

    return replacing(ReceivedAdjust, identity=property(identity))


REPEATS: dict[str, Mutant] = {
    # The bizType of a market close goes with NORMAL_CLOSE.
    "refuses-a-normal-close": mutant(refusing(lambda adjust: adjust.operationType == "NORMAL_CLOSE"), "C-010", "C-011"),
    "refuses-limit-open": mutant(refusing(lambda adjust: adjust.bizType == 12), "C-011"),
    "applies-nothing": mutant(with_books(AppliesNothing), "C-040"),
    "applies-each-repeat": mutant(with_books(AppliesEachRepeat), "C-012"),
    "answers-repeats-with-a-failure": mutant(with_books(AnswersRepeatsWithAFailure), "C-012"),
    "a-repeat-moves-the-balance": mutant(with_books(MovesTheBalanceAgain), "C-012"),
    "forgets-a-number-after-3-s": mutant(with_books(ForgetsAfterSomeSeconds), "C-014"),
    "deduplicates-by-trace": mutant(with_handler(DeduplicatesByTrace), "C-015"),
    "refuses-a-repeat-with-another-trace": mutant(with_handler(RefusesAnotherTrace), "C-015"),
    "accepts-another-body-under-a-number": mutant(ignoring(*ALL_FIELDS), "C-016"),
    "applies-another-body-under-a-number": mutant(with_books(AppliesAnotherBody), "C-016"),
    "accepts-another-amount-under-a-number": mutant(ignoring("amount"), "C-016"),
    "accepts-another-order-under-a-number": mutant(ignoring("orderId"), "C-016"),
    "accepts-another-company-under-a-number": mutant(ignoring("companyId"), "C-016"),
    "refuses-a-repeat-with-another-ip": mutant(also_comparing(ip=lambda adjust: adjust.ip), "C-017"),
    "refuses-a-repeat-with-another-time": mutant(also_comparing(time=lambda adjust: adjust.requestTime), "C-017"),
    "refuses-a-repeat-with-other-metadata": mutant(also_comparing(metadata=lambda adjust: adjust.metadata), "C-017"),
    "compares-amounts-as-text": mutant(also_comparing(amount=lambda adjust: adjust.amount), "C-017"),
}
