"""The broker's books: the customers' balances, and what happened to each adjust number.

Sign convention: an adjust changes the customer's balance by its amount exactly as given, so
OPEN_POSITION and NORMAL_CLOSE add and ABNORMAL_OVERTRADING deducts. The cancel reverses that change.
Money is `Decimal` in an exact context and text in the database, never a float.

    NEVER_RECEIVED --adjust--> APPLIED --cancel--> REVERSED
    NEVER_RECEIVED --adjust--> NOT_APPLIED                    (a fault asked for it)
    NEVER_RECEIVED --cancel--> BURNT --adjust--> NOT_APPLIED  (a dangling action is refused)
"""

import sqlite3
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Subnormal

from contract.same_request import differences
from simulator import replies
from simulator.book_records import AccountView, AdjustRecord, Cancel, NumberRow, NumberState, NumberView, ReceivedAdjust
from simulator.database import fetch_all, fetch_one, transaction
from simulator.replies import Result
from simulator.statement import BookingKind, book

# An amount has at most 40 characters, so 120 digits hold any sum. A result that does not fit raises; it is not rounded.
_EXACT = Context(prec=120, traps=[Inexact, InvalidOperation, Overflow, Subnormal])


class Books:
    """The broker's books; every change is one transaction.

    Not thread-safe: `database.DatabaseThread` runs all calls on one thread.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._cancel_by_state: dict[NumberState, Callable[[NumberRow], Result]] = {
            NumberState.NEVER_RECEIVED: self._burn,
            NumberState.BURNT: self._already_burnt,
            NumberState.NOT_APPLIED: self._nothing_to_reverse,
            NumberState.APPLIED: self._reverse,
            NumberState.REVERSED: self._already_reversed,
        }

    def adjust(self, adjust: ReceivedAdjust, *, apply: bool = True, refuse_if_burnt: bool = True) -> Result:
        """Receive an adjust and change the customer's balance by its amount (docs/contract.md#table-1).

        A repeat (`contract.same_request`) gets the first result and changes nothing. Another adjust under the same
        number is refused and changes nothing. An adjust that arrives after its cancel is always refused (dangling
        action), unless `refuse_if_burnt` is false: then it is applied, as at a broker that does not burn numbers.
        If `apply` is false, the adjust is recorded as received and not applied.
        """
        with transaction(self._db):
            row = self._row(adjust.requestUniqueNo)
            if row.received is not None:
                return row.received.result_for(adjust)
            if row.burnt and refuse_if_burnt:
                return self._refuse(row, adjust, replies.DANGLING)
            return self._apply(row, adjust) if apply else self._refuse(row, adjust, replies.REFUSED)

    def cancel(self, cancel: Cancel, *, twice: bool = False) -> Result:
        """Reverse an adjust by its number; burn the number if the adjust was never received.

        If `twice` is true, an adjust that this cancel reverses is reversed twice, as at a broker with that fault.

        A repeat gets the first result and changes nothing. Another cancel of an adjust that is already reversed is
        answered as reversed and changes nothing. Another cancel under a used cancel number is refused. A cancel that
        contradicts its adjust is refused and not recorded, so it can be corrected and sent again under its number.

        See docs/contract.md#table-2, docs/contract.md#table-3.
        """
        with transaction(self._db):
            recorded = self._recorded_result(cancel)
            if recorded is not None:
                return recorded
            row = self._row(cancel.reverse_number)
            if contradictions := row.contradictions(cancel):
                return replies.mismatch(contradictions)
            result = self._cancel_by_state[row.state](row)
            if twice and row.state is NumberState.APPLIED:
                self._reverse(self._row(row.number))
            self._save_cancel(cancel, result)
            return result

    def reuses_adjust_number(self, adjust: ReceivedAdjust) -> bool:
        """Tell whether another adjust has this adjust's number: one in the books, or a delayed one."""
        row = self._row(adjust.requestUniqueNo)
        first = row.received.adjust if row.received else self._delayed(adjust.requestUniqueNo)
        return first is not None and bool(differences(first.identity, adjust.identity))

    def reuses_cancel_number(self, cancel: Cancel) -> bool:
        """Tell whether another cancel has this cancel's number."""
        return self._recorded_result(cancel) is replies.NUMBER_REUSED

    def delay(self, adjust: ReceivedAdjust, *, due_ns: int, refuse_if_burnt: bool) -> None:
        """Store an adjust that is applied only at `due_ns` (epoch, ns). A repeat keeps the first time."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO landings (number, due_ns, guarded, adjust) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (adjust.requestUniqueNo, due_ns, refuse_if_burnt, adjust.model_dump_json()),
            )

    def apply_due(self, now_ns: int) -> list[str]:
        """Receive every delayed adjust that is due, each once; return their numbers. At most 100 in one call."""
        with transaction(self._db):
            due = fetch_all(self._db, "SELECT * FROM landings WHERE due_ns <= ? ORDER BY due_ns LIMIT 100", now_ns)
            for row in due:
                self.adjust(ReceivedAdjust.model_validate_json(row["adjust"]), refuse_if_burnt=bool(row["guarded"]))
                self._db.execute("DELETE FROM landings WHERE number = ?", (row["number"],))
        return [row["number"] for row in due]

    def next_due_ns(self) -> int | None:
        """Return when the next delayed adjust is due (epoch, ns); None if none is waiting."""
        row = fetch_one(self._db, "SELECT MIN(due_ns) AS due_ns FROM landings")
        return row["due_ns"] if row else None

    def number(self, number: str) -> NumberView:
        """Return what happened to an adjust number; NEVER_RECEIVED if the books do not contain it."""
        row = self._row(number)
        delayed = fetch_one(self._db, "SELECT due_ns FROM landings WHERE number = ?", number)
        cancels = fetch_all(
            self._db, "SELECT number, code FROM cancels WHERE reverse_number = ? ORDER BY rowid LIMIT 1000", number
        )
        return NumberView.of(row, delayed["due_ns"] if delayed else None, cancels)

    def accounts(self, third_server_code: str | None = None, limit: int = 1_000) -> Sequence[AccountView]:
        """Return at most `limit` balances, of one customer or of all; amounts are exact decimal strings."""
        rows = fetch_all(
            self._db,
            "SELECT * FROM accounts WHERE ? IS NULL OR third_server_code = ? "
            "ORDER BY third_server_code, currency LIMIT ?",
            third_server_code,
            third_server_code,
            limit,
        )
        return [AccountView.model_validate(dict(row)) for row in rows]

    def _apply(self, row: NumberRow, adjust: ReceivedAdjust) -> Result:
        self._change_balance(adjust, Decimal(adjust.amount), BookingKind.APPLIED)
        received = AdjustRecord(adjust, replies.APPLIED)
        self._save(row._replace(state=NumberState.APPLIED, received=received, times_applied=row.times_applied + 1))
        return received.result

    def _refuse(self, row: NumberRow, adjust: ReceivedAdjust, result: Result) -> Result:
        self._save(row._replace(state=NumberState.NOT_APPLIED, received=AdjustRecord(adjust, result)))
        return result

    def _reverse(self, row: NumberRow) -> Result:
        if row.received is None:
            raise LookupError(row.number)
        adjust = row.received.adjust
        self._change_balance(adjust, _EXACT.minus(Decimal(adjust.amount)), BookingKind.REVERSED)
        self._save(row._replace(state=NumberState.REVERSED, times_reversed=row.times_reversed + 1))
        return replies.REVERSED

    def _burn(self, row: NumberRow) -> Result:
        self._save(row._replace(state=NumberState.BURNT, burnt=True))
        return replies.NEVER_RECEIVED

    def _already_burnt(self, _row: NumberRow) -> Result:
        return replies.NEVER_RECEIVED

    def _nothing_to_reverse(self, _row: NumberRow) -> Result:
        return replies.NOT_APPLIED

    def _already_reversed(self, _row: NumberRow) -> Result:
        return replies.REVERSED

    def _change_balance(self, adjust: ReceivedAdjust, change: Decimal, kind: BookingKind) -> None:
        account = (adjust.thirdServerCode, adjust.currency)
        row = fetch_one(self._db, "SELECT balance FROM accounts WHERE third_server_code = ? AND currency = ?", *account)
        balance = _EXACT.add(Decimal(row["balance"] if row else "0"), change)
        self._db.execute("REPLACE INTO accounts VALUES (?, ?, ?)", (*account, format(balance, "f")))
        book(self._db, adjust.requestUniqueNo, kind, format(change, "f"), adjust.currency)

    def _row(self, number: str) -> NumberRow:
        found = fetch_one(self._db, "SELECT * FROM numbers WHERE number = ?", number)
        return NumberRow.of(found) if found else NumberRow.unknown(number)

    def _delayed(self, number: str) -> ReceivedAdjust | None:
        found = fetch_one(self._db, "SELECT adjust FROM landings WHERE number = ?", number)
        return ReceivedAdjust.model_validate_json(found["adjust"]) if found else None

    def _recorded_result(self, cancel: Cancel) -> Result | None:
        """Return the first result for a repeat, a refusal for another cancel under its number; None: a new number."""
        first = fetch_one(self._db, "SELECT request, code, msg FROM cancels WHERE number = ?", cancel.number)
        if first is None:
            return None
        return Result(first["code"], first["msg"]) if first["request"] == cancel.request else replies.NUMBER_REUSED

    def _save(self, row: NumberRow) -> None:
        self._db.execute("REPLACE INTO numbers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row.columns())

    def _save_cancel(self, cancel: Cancel, result: Result) -> None:
        self._db.execute(
            "INSERT INTO cancels VALUES (?, ?, ?, ?, ?)",
            (cancel.number, cancel.reverse_number, cancel.request, result.code, result.msg),
        )
