"""The books: which numbers were received, what each did, and every customer's balance (schema.sql).

Two unique inserts are the whole idea, each in the transaction that moves the balance. A repeat finds its row and gets
the stored answer. A cancel of an unseen adjust inserts its row as BURNT, so an adjust that comes later is refused.
"""

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, select, text, update
from sqlalchemy.dialects.postgresql import insert  # SQLite has the same ON CONFLICT DO NOTHING

from .requests import EXACT, Adjust, CancelAdjust, CancelOperation

SUCCESS, NOT_APPLIED, NEVER_RECEIVED = "0", "US_0000001", "US_0000002"
REFUSED, DANGLING, REUSED, MISMATCH = "US_0000402", "US_0000403", "US_0000409", "US_0000422"


class RefusedError(Exception):
    """The request contradicts what is stored. Its transaction is rolled back, so nothing of it stays."""


def accepts(adjust: Adjust) -> bool:
    """Decide on an adjust: your own rules go here. Customers `closed-…` have no account, `slow-…` take 1.5 s."""
    if adjust.third_server_code.startswith("slow-"):
        time.sleep(1.5)
    return not adjust.third_server_code.startswith("closed-")


class Books:
    """The books in one database. Each method is one transaction, and returns after its commit."""

    def __init__(self, url: str) -> None:
        self.engine, self._schema = _open(url), MetaData()
        with self.engine.begin() as db:
            if db.dialect.name == "postgresql":
                db.execute(text("SELECT pg_advisory_xact_lock(1)"))  # several processes may start at once
            for statement in Path(__file__).with_name("schema.sql").read_text().split(";\n")[:-1]:
                db.execute(text(statement))
            self._schema.reflect(db)

    def adjust(self, adjust: Adjust) -> str:
        """Apply an adjust once. Return its code, the same one for each repeat."""
        # What the row stores is what makes it this order: a repeat may have another time, address, spelling, metadata.
        order = adjust.model_dump(include=set(self._schema.tables["adjusts"].columns.keys()))
        with self.engine.begin() as db:
            if not self._insert(db, "adjusts", state="APPLIED", code=SUCCESS, **order):
                row = self._locked(db, "adjusts", number=adjust.number)
                if row["state"] != "BURNT" and order.items() - row.items():
                    raise RefusedError(REUSED)
                return str(row["code"])
            if not accepts(adjust):
                self._update(db, "adjusts", {"number": adjust.number}, state="NOT_APPLIED", code=REFUSED)
                return REFUSED
            self._move(db, order, 1)
            return SUCCESS

    def cancel(self, cancel: CancelAdjust | CancelOperation) -> str:
        """Give back what an adjust moved, once, or burn its number. Return the code, the same one for each repeat."""
        key, adjust_key = {"number": cancel.number}, {"number": cancel.adjust_number}
        with self.engine.begin() as db:
            first = self._insert(db, "cancels", **key, adjust_number=cancel.adjust_number, code=NEVER_RECEIVED)
            earlier = self._locked(db, "cancels", **key)
            if earlier["adjust_number"] != cancel.adjust_number:
                raise RefusedError(REUSED)
            # If the adjust is in process, this insert waits for its end: "not found" is never said too early.
            if self._insert(db, "adjusts", **adjust_key, state="BURNT", code=DANGLING):
                return NEVER_RECEIVED
            row = self._locked(db, "adjusts", **adjust_key)
            if row["state"] != "BURNT" and cancel.contradicts(row):
                raise RefusedError(MISMATCH)
            if not first:
                return str(earlier["code"])
            code = SUCCESS if row["state"] in {"APPLIED", "REVERSED"} else NOT_APPLIED
            self._update(db, "cancels", key, code=code)
            if row["state"] == "APPLIED":
                self._update(db, "adjusts", adjust_key, state="REVERSED")
                self._move(db, row, -1)
            return code

    def balance(self, customer: str, currency: str) -> str:
        """Return a balance as an exact decimal; 0 if nothing ever moved."""
        of_account = {"third_server_code": customer, "currency": currency}
        with self.engine.begin() as db:
            return db.scalar(select(self._schema.tables["accounts"].c.balance).filter_by(**of_account)) or "0"

    def _move(self, db: Connection, order: dict[str, Any], sign: int) -> None:
        """Add an order's amount to its balance; sign -1 takes it back, even if the balance becomes negative."""
        key = {name: order[name] for name in ("third_server_code", "currency")}
        self._insert(db, "accounts", **key, balance="0")
        balance = Decimal(self._locked(db, "accounts", **key)["balance"])
        self._update(db, "accounts", key, balance=f"{EXACT.fma(Decimal(order['amount']), sign, balance):f}")

    def _insert(self, db: Connection, table: str, **values: object) -> bool:
        """Insert a row unless its key exists; wait for another transaction that is inserting the same key."""
        row = insert(self._schema.tables[table]).values(**values)
        return db.scalar(row.on_conflict_do_nothing().returning(text("1"))) is not None

    def _locked(self, db: Connection, table: str, **key: object) -> dict[str, Any]:
        """Return a row, locked until the transaction ends; SQLite has locked the whole database by then."""
        return dict(db.execute(select(self._schema.tables[table]).filter_by(**key).with_for_update()).mappings().one())

    def _update(self, db: Connection, table: str, key: dict[str, str], **values: object) -> None:
        db.execute(update(self._schema.tables[table]).filter_by(**key).values(**values))


def _open(url: str) -> Engine:
    """Open the database. Rows are locked in one order, cancel, adjust, account: there are no deadlocks."""
    if not url.startswith("sqlite"):
        # In READ COMMITTED the loser of an insert waits and then reads the winner's row. There is nothing to retry.
        return create_engine(url, isolation_level="READ COMMITTED", pool_size=40, pool_pre_ping=True)
    engine = create_engine(url, pool_size=40, connect_args={"timeout": 30, "isolation_level": None})
    # A transaction that begins as a reader and then writes fails if another has written meanwhile; this one waits.
    event.listen(engine, "begin", lambda db: db.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine
