"""The broker's own books: customers' credit, and what became of every adjust number.

Sign convention: an adjust changes the customer's balance by its amount exactly as given, so
OPEN_POSITION and NORMAL_CLOSE add and ABNORMAL_OVERTRADING deducts; its cancel takes that very change
back. Money is `Decimal` in an exact context and text in the database, never a float.

    NEVER_RECEIVED --adjust--> APPLIED --cancel--> REVERSED
    NEVER_RECEIVED --adjust--> NOT_APPLIED                    (a fault asked for it)
    NEVER_RECEIVED --cancel--> BURNT --adjust--> NOT_APPLIED  (a dangling action is refused)
"""

import sqlite3
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Subnormal

from contract.same_request import differences
from simulator import replies
from simulator.book_records import AccountView, Cancel, NumberState, NumberView, Receipt, ReceivedAdjust, Row
from simulator.database import every, one, transaction
from simulator.replies import Result

# 40 characters per amount at most, so 120 digits hold any sum of them; one that did not fit would raise, not round.
_EXACT = Context(prec=120, traps=[Inexact, InvalidOperation, Overflow, Subnormal])


class Books:
    """Every transition of the broker's books, each in one transaction.

    Not safe for several threads: whoever shares it hands its calls to one thread (`store.py`).
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._undo: dict[NumberState, Callable[[Row], Result]] = {
            NumberState.NEVER_RECEIVED: self._burn,
            NumberState.BURNT: self._still_never_received,
            NumberState.NOT_APPLIED: self._nothing_to_undo,
            NumberState.APPLIED: self._give_back,
            NumberState.REVERSED: self._already_given_back,
        }

    def adjust(self, adjust: ReceivedAdjust, *, applies: bool = True, guarded: bool = True) -> Result:
        """Receive an adjust and change the customer's credit by its amount (contract, table 1).

        The same request again (`contract.same_request`) gets the same result and moves nothing; the same number in
        another request is refused and the first stays. After its cancel it is refused, for good (dangling action).
        Not `applies`: it is recorded as received, but not applied. Not `guarded`: it takes effect even
        after its cancel, as at a broker that does not burn numbers.
        """
        with transaction(self._db):
            row = self._row(adjust.requestUniqueNo)
            if row.receipt is not None:
                return row.receipt.answer(adjust)
            if row.burnt and guarded:
                return self._refuse(row, adjust, replies.DANGLING)
            return self._apply(row, adjust) if applies else self._refuse(row, adjust, replies.REFUSED)

    def cancel(self, cancel: Cancel) -> Result:
        """Undo an adjust by its number, and burn the number if it never came (contract, tables 2 and 3).

        The same cancel again gets the same result and moves nothing, and so does another cancel of an
        adjust that is reversed already. Its number in another cancel is refused. A cancel that
        contradicts its adjust is refused and not recorded: corrected, it may come again.
        """
        with transaction(self._db):
            earlier = self._earlier(cancel)
            if earlier is not None:
                return earlier
            row = self._row(cancel.reverse_number)
            if contradictions := row.contradictions(cancel):
                return replies.mismatch(contradictions)
            result = self._undo[row.state](row)
            self._keep_cancel(cancel, result)
            return result

    def is_reused(self, adjust: ReceivedAdjust) -> bool:
        """Tell whether another adjust has the number: in the books, or postponed on its way there."""
        row = self._row(adjust.requestUniqueNo)
        first = row.receipt.adjust if row.receipt else self._postponed(adjust.requestUniqueNo)
        return first is not None and bool(differences(first.identity, adjust.identity))

    def is_reused_by(self, cancel: Cancel) -> bool:
        """Tell whether another cancel has the cancel's number."""
        return self._earlier(cancel) is replies.NUMBER_REUSED

    def postpone(self, adjust: ReceivedAdjust, *, due_ns: int, guarded: bool) -> None:
        """Let an adjust reach the books only at `due_ns` (epoch, ns). Repeating it keeps the first time."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO landings (number, due_ns, guarded, adjust) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (adjust.requestUniqueNo, due_ns, guarded, adjust.model_dump_json()),
            )

    def land(self, now_ns: int) -> list[str]:
        """Let every postponed adjust that is due reach the books, each once; return their numbers, at most 100."""
        with transaction(self._db):
            due = every(self._db, "SELECT * FROM landings WHERE due_ns <= ? ORDER BY due_ns LIMIT 100", now_ns)
            for landing in due:
                self.adjust(ReceivedAdjust.model_validate_json(landing["adjust"]), guarded=bool(landing["guarded"]))
                self._db.execute("DELETE FROM landings WHERE number = ?", (landing["number"],))
        return [landing["number"] for landing in due]

    def next_landing_ns(self) -> int | None:
        """Return when the next postponed adjust is due (epoch, ns); None when none is waiting."""
        row = one(self._db, "SELECT MIN(due_ns) AS due_ns FROM landings")
        return row["due_ns"] if row else None

    def number(self, number: str) -> NumberView:
        """Return what became of an adjust number; NEVER_RECEIVED for one that the books do not know."""
        row = self._row(number)
        landing = one(self._db, "SELECT due_ns FROM landings WHERE number = ?", number)
        cancels = every(
            self._db, "SELECT number, code FROM cancels WHERE reverse_number = ? ORDER BY rowid LIMIT 1000", number
        )
        return NumberView.of(row, landing["due_ns"] if landing else None, cancels)

    def accounts(self, third_server_code: str | None = None, limit: int = 1_000) -> Sequence[AccountView]:
        """Return the balances, at most `limit`, of one customer or of all; amounts are exact decimal strings."""
        rows = every(
            self._db,
            "SELECT * FROM accounts WHERE ? IS NULL OR third_server_code = ? "
            "ORDER BY third_server_code, currency LIMIT ?",
            third_server_code,
            third_server_code,
            limit,
        )
        return [AccountView.model_validate(dict(row)) for row in rows]

    def _apply(self, row: Row, adjust: ReceivedAdjust) -> Result:
        self._move(adjust, Decimal(adjust.amount))
        receipt = Receipt(adjust, replies.APPLIED)
        self._keep(row._replace(state=NumberState.APPLIED, receipt=receipt, times_applied=row.times_applied + 1))
        return receipt.result

    def _refuse(self, row: Row, adjust: ReceivedAdjust, result: Result) -> Result:
        self._keep(row._replace(state=NumberState.NOT_APPLIED, receipt=Receipt(adjust, result)))
        return result

    def _give_back(self, row: Row) -> Result:
        adjust = row.received().adjust
        self._move(adjust, _EXACT.minus(Decimal(adjust.amount)))
        self._keep(row._replace(state=NumberState.REVERSED, times_reversed=row.times_reversed + 1))
        return replies.REVERSED

    def _burn(self, row: Row) -> Result:
        self._keep(row._replace(state=NumberState.BURNT, burnt=True))
        return replies.NEVER_RECEIVED

    def _still_never_received(self, _row: Row) -> Result:
        return replies.NEVER_RECEIVED

    def _nothing_to_undo(self, _row: Row) -> Result:
        return replies.NOT_APPLIED

    def _already_given_back(self, _row: Row) -> Result:
        return replies.REVERSED

    def _move(self, adjust: ReceivedAdjust, change: Decimal) -> None:
        account = (adjust.thirdServerCode, adjust.currency)
        row = one(self._db, "SELECT balance FROM accounts WHERE third_server_code = ? AND currency = ?", *account)
        balance = _EXACT.add(Decimal(row["balance"] if row else "0"), change)
        self._db.execute("REPLACE INTO accounts VALUES (?, ?, ?)", (*account, format(balance, "f")))

    def _row(self, number: str) -> Row:
        found = one(self._db, "SELECT * FROM numbers WHERE number = ?", number)
        return Row.of(found) if found else Row.unknown(number)

    def _postponed(self, number: str) -> ReceivedAdjust | None:
        found = one(self._db, "SELECT adjust FROM landings WHERE number = ?", number)
        return ReceivedAdjust.model_validate_json(found["adjust"]) if found else None

    def _earlier(self, cancel: Cancel) -> Result | None:
        """Return what a cancel under a number that has been used is answered; None: the number is new."""
        earlier = one(self._db, "SELECT request, code, msg FROM cancels WHERE number = ?", cancel.number)
        if earlier is None:
            return None
        same = earlier["request"] == cancel.request
        return Result(earlier["code"], earlier["msg"]) if same else replies.NUMBER_REUSED

    def _keep(self, row: Row) -> None:
        self._db.execute("REPLACE INTO numbers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row.columns())

    def _keep_cancel(self, cancel: Cancel, result: Result) -> None:
        self._db.execute(
            "INSERT INTO cancels VALUES (?, ?, ?, ?, ?)",
            (cancel.number, cancel.reverse_number, cancel.request, result.code, result.msg),
        )
