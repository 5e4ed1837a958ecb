"""The SQLite database of the simulator: its tables, transactions, queries, and the thread that runs them."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

IN_MEMORY = ":memory:"
BUSY_TIMEOUT_S = 5.0

# Amounts and balances are TEXT: SQLite's numbers are floats or 64-bit integers, which cannot hold every amount.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS numbers (
  number TEXT PRIMARY KEY, state TEXT NOT NULL, burnt INTEGER NOT NULL, adjust TEXT,
  code TEXT, msg TEXT, times_applied INTEGER NOT NULL, times_reversed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cancels (
  number TEXT PRIMARY KEY, reverse_number TEXT NOT NULL, request TEXT NOT NULL, code TEXT NOT NULL, msg TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS cancels_of_number ON cancels (reverse_number);
CREATE TABLE IF NOT EXISTS accounts (
  third_server_code TEXT NOT NULL, currency TEXT NOT NULL, balance TEXT NOT NULL,
  PRIMARY KEY (third_server_code, currency)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bookings (
  id INTEGER PRIMARY KEY AUTOINCREMENT, number TEXT NOT NULL, kind TEXT NOT NULL, amount TEXT NOT NULL,
  currency TEXT NOT NULL, at_ns INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS bookings_by_at_ns ON bookings (at_ns, id);
CREATE TABLE IF NOT EXISTS landings (
  number TEXT PRIMARY KEY, due_ns INTEGER NOT NULL, guarded INTEGER NOT NULL, adjust TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS landings_by_due_ns ON landings (due_ns);
CREATE TABLE IF NOT EXISTS cancel_faults (
  number TEXT PRIMARY KEY, fault TEXT NOT NULL, remaining INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outages (company TEXT PRIMARY KEY, mode TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
  id INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT NOT NULL, number TEXT, reverse_number TEXT,
  received_at_ns INTEGER NOT NULL, trace TEXT, company_id TEXT, timestamp TEXT, body TEXT NOT NULL, fault TEXT,
  http_status INTEGER, reply_code TEXT, ended_at_ns INTEGER, ended TEXT
);
CREATE INDEX IF NOT EXISTS calls_by_number ON calls (number);
CREATE INDEX IF NOT EXISTS calls_by_reverse_number ON calls (reverse_number);
"""


def connect(path: str) -> sqlite3.Connection:
    """Open the database at `path`, or one in memory for ":memory:", and create its tables.

    Opening an existing database changes nothing. A committed transaction survives a killed process and a power failure
    (WAL with synchronous=FULL). Raises `sqlite3.Error` if the file cannot be opened or is not a database.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(_SCHEMA)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block in one transaction, rolled back on an exception. Inside another transaction, join that one."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def fetch_one(connection: sqlite3.Connection, statement: str, *values: object) -> sqlite3.Row | None:
    """Return the first row of the result, or None."""
    # Fetch all rows: an UPDATE … RETURNING whose result is not read completely would block the commit.
    rows = connection.execute(statement, values).fetchall()
    return rows[0] if rows else None


def fetch_all(connection: sqlite3.Connection, statement: str, *values: object) -> list[Any]:
    """Return all rows of the result; the statement itself must have a LIMIT."""
    return connection.execute(statement, values).fetchall()


P = ParamSpec("P")
R = TypeVar("R")


class DatabaseThread:
    """The database and the one thread that uses it. Calls run in the order in which they were submitted.

    A commit waits for the disk. On a separate thread it does not block the event loop, which records the arrival time
    of the next request.
    """

    def __init__(self, path: str) -> None:
        self.connection = connect(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="simulator-database")

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` on the database thread; return its result, or raise its exception."""
        return await asyncio.wrap_future(self._thread.submit(work, *args, **kwargs))

    def close(self) -> None:
        """Finish the submitted calls, then close the database. Closing it again changes nothing."""
        self._thread.shutdown()
        self.connection.close()
