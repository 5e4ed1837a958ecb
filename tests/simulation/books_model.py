"""The external system as a pure function: the result of its real books is cached for each state and message.

A state is the complete content of the books for one number. So each cached result comes from the simulator's own code.
The obligations of an external system can be broken, one at a time.
"""

from enum import StrEnum
from typing import NamedTuple

from contract.cancel_adjust import CancelAdjustBody
from settlement.ids import CancelKind
from settlement.tasks import CancelTask
from simulator import replies
from simulator.book_records import Cancel, NumberRow, NumberState, NumberView, ReceivedAdjust
from simulator.books import Books
from simulator.database import IN_MEMORY, connect, fetch_all, transaction
from simulator.replies import Result
from tests.support.orders import settlement
from workflows.compensation import cancel_intent

ADJUST = "ADJUST"
NUMBER = "ORD-1"
SETTLEMENT = settlement(requestUniqueNo=NUMBER)
RECEIVED = ReceivedAdjust(**SETTLEMENT.adjust.model_dump(), company_id=SETTLEMENT.company_id)
Message = str
"""ADJUST, or the kind of a cancel. Every send of it is the same request, byte for byte."""


class Obligation(StrEnum):
    """The obligations of an external system in the contract, on which the saga relies."""

    BURN_NUMBERS = "BURN_NUMBERS"
    """An adjust that comes after its cancel is refused (docs/contract.md#dangling-actions)."""
    ADJUST_ONCE = "ADJUST_ONCE"
    """A repeated adjust moves nothing (docs/contract.md#table-1, requestUniqueNo)."""
    REVERSE_ONCE = "REVERSE_ONCE"
    """A repeated cancel moves nothing (docs/contract.md#table-2, requestUniqueNo)."""
    TELL_THE_TRUTH = "TELL_THE_TRUTH"
    """A cancel of an applied adjust is answered 0, and only then (docs/contract.md#table-2, reverseRequestUniqueNo)."""


ALL_KEPT = frozenset(Obligation)


TASKS = {kind: CancelTask(settlement=SETTLEMENT, intent=cancel_intent(kind, "why", 1), round=0) for kind in CancelKind}
"""The two cancels of the settlement, as the workflow creates them."""


def _cancel_of(kind: CancelKind) -> Cancel:
    task = TASKS[kind]
    body = CancelAdjustBody.undoing(
        SETTLEMENT.adjust,
        number=task.request_unique_no,
        request_time_ms=task.intent.request_time_ms,
        remark=task.intent.remark,
    )
    return Cancel.by_cancel_adjust(body)


_CANCELS = {kind: _cancel_of(kind) for kind in CancelKind}


class Held(NamedTuple):
    """All rows that the books hold of the number."""

    numbers: tuple[tuple[object, ...], ...] = ()
    cancels: tuple[tuple[object, ...], ...] = ()


NOTHING = 0
"""The id of empty books."""


class BooksModel:
    """The books of one external system. With `refuses`, it rejects the adjust, as the contract allows."""

    def __init__(self, kept: frozenset[Obligation] = ALL_KEPT, *, refuses: bool = False) -> None:
        self._kept, self._refuses = kept, refuses
        self._db = connect(IN_MEMORY)
        self._books: Books = Books(self._db)
        self._held: list[Held] = [Held()]
        self._ids: dict[Held, int] = {Held(): NOTHING}
        self._known: dict[tuple[int, Message], tuple[int, Result]] = {}
        self._views: dict[int, NumberView] = {}
        self.runs = 0
        """Number of transitions of the real books."""

    def receive(self, held: int, message: Message) -> tuple[int, Result]:
        """Process a message in a state; return the id of the next state, and the reply."""
        if (held, message) not in self._known:
            self._restore(held)
            self.runs += 1
            result = self._adjust() if message == ADJUST else self._cancel(CancelKind(message))
            self._known[held, message] = self._name(self._read()), result
        return self._known[held, message]

    def view(self, held: int) -> NumberView:
        """Return the books of the number in a state."""
        if held not in self._views:
            self._restore(held)
            self._views[held] = self._books.number(NUMBER)
        return self._views[held]

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _adjust(self) -> Result:
        row = self._row()
        if row.received is not None and Obligation.ADJUST_ONCE not in self._kept:
            self._keep(row._replace(received=None, state=NumberState.NEVER_RECEIVED))
        refuse_if_burnt = Obligation.BURN_NUMBERS in self._kept
        return self._books.adjust(RECEIVED, apply=not self._refuses, refuse_if_burnt=refuse_if_burnt)

    def _cancel(self, kind: CancelKind) -> Result:
        row = self._row()
        if row.state is NumberState.APPLIED and Obligation.TELL_THE_TRUTH not in self._kept:
            return replies.NOT_APPLIED
        if row.state is NumberState.REVERSED and Obligation.REVERSE_ONCE not in self._kept:
            self._keep(row._replace(state=NumberState.APPLIED))
            self._db.execute("DELETE FROM cancels")
        return self._books.cancel(_CANCELS[kind])

    def _row(self) -> NumberRow:
        rows = fetch_all(self._db, "SELECT * FROM numbers")
        return NumberRow.of(rows[0]) if rows else NumberRow.unknown(NUMBER)

    def _keep(self, row: NumberRow) -> None:
        self._db.execute("REPLACE INTO numbers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row.columns())

    def _restore(self, named: int) -> None:
        held = self._held[named]
        with transaction(self._db):
            for emptied in ("DELETE FROM numbers", "DELETE FROM cancels", "DELETE FROM accounts"):
                self._db.execute(emptied)
            self._db.executemany("INSERT INTO numbers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", held.numbers)
            self._db.executemany("INSERT INTO cancels VALUES (?, ?, ?, ?, ?)", held.cancels)

    def _name(self, held: Held) -> int:
        if held not in self._ids:
            self._ids[held] = len(self._held)
            self._held.append(held)
        return self._ids[held]

    def _read(self) -> Held:
        return Held(
            tuple(tuple(row) for row in fetch_all(self._db, "SELECT * FROM numbers")),
            tuple(tuple(row) for row in fetch_all(self._db, "SELECT * FROM cancels ORDER BY number")),
        )
