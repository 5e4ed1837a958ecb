"""Faults of the balances that no reply shows."""

from decimal import ROUND_HALF_EVEN, Decimal

from simulator import replies
from simulator.book_records import Cancel, ReceivedAdjust
from simulator.books import Books
from simulator.database import fetch_one
from simulator.replies import Result
from simulator.statement import BookingKind
from tests.conformance.mutants.mutant import Mutant, mutant, with_books

_CENT = Decimal("0.01")


class RoundsToCents(Books):
    """Moves a balance by the amount rounded to two decimals."""

    def _change_balance(self, adjust: ReceivedAdjust, change: Decimal, kind: BookingKind) -> None:
        super()._change_balance(adjust, change.quantize(_CENT, ROUND_HALF_EVEN), kind)


class AddsFloats(Books):
    """Keeps balances as floats."""

    def _change_balance(self, adjust: ReceivedAdjust, change: Decimal, kind: BookingKind) -> None:
        super()._change_balance(adjust, change, kind)
        account = (adjust.thirdServerCode, adjust.currency)
        found = fetch_one(
            self._db, "SELECT balance FROM accounts WHERE third_server_code = ? AND currency = ?", *account
        )
        before = float(Decimal(found["balance"]) - change) if found else 0.0
        total = Decimal(repr(before + float(change)))
        self._db.execute("REPLACE INTO accounts VALUES (?, ?, ?)", (*account, format(total, "f")))


class GivesBackCents(Books):
    """Gives back the amount rounded to two decimals."""

    def _change_balance(self, adjust: ReceivedAdjust, change: Decimal, kind: BookingKind) -> None:
        given = change.quantize(_CENT, ROUND_HALF_EVEN) if kind is BookingKind.REVERSED else change
        super()._change_balance(adjust, given, kind)


class RefusedAdjustsMoveTheBalance(Books):
    """Refuses another adjust under a known number, and moves the balance by its amount."""

    def reuses_adjust_number(self, adjust: ReceivedAdjust) -> bool:
        """Move the balance if it is another adjust."""
        reused = super().reuses_adjust_number(adjust)
        if reused:
            self._change_balance(adjust, Decimal(adjust.amount), BookingKind.APPLIED)
        return reused


class RefusedCancelsMoveTheBalance(Books):
    """Refuses a cancel that contradicts its adjust, and takes its amount from the balance."""

    def cancel(self, cancel: Cancel, *, twice: bool = False) -> Result:
        """Move the balance if the cancel is refused."""
        result = super().cancel(cancel, twice=twice)
        row = self._row(cancel.reverse_number)
        if result.code == replies.CODE_MISMATCH and row.received is not None:
            adjust = row.received.adjust
            self._change_balance(adjust, -Decimal(adjust.amount), BookingKind.REVERSED)
        return result


BOOKS: dict[str, Mutant] = {
    "rounds-balances-to-cents": mutant(with_books(RoundsToCents), "C-080"),
    "keeps-balances-as-floats": mutant(with_books(AddsFloats), "C-080"),
    "gives-back-rounded-amounts": mutant(with_books(GivesBackCents), "C-080"),
    "a-refused-adjust-moves-the-balance": mutant(with_books(RefusedAdjustsMoveTheBalance), "C-016"),
    "a-refused-cancel-moves-the-balance": mutant(with_books(RefusedCancelsMoveTheBalance), "C-081"),
}
