"""The one SQLite database behind books, journal and switches: its tables, its opening, its transactions."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

IN_MEMORY = ":memory:"
BUSY_TIMEOUT_S = 5.0

# Amounts and balances are TEXT: SQLite's numbers are floats or 64-bit integers, and neither holds every amount.
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

    Opening it again changes nothing. A committed act survives a killed process and a power cut:
    WAL with synchronous=FULL. Raises `sqlite3.Error` where the file cannot be opened or is no database.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(_SCHEMA)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make the block one transaction: all of it is kept, or nothing. Inside another one, join that one."""
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


def one(connection: sqlite3.Connection, statement: str, *values: object) -> sqlite3.Row | None:
    """Return the first row that the statement finds, or None."""
    # All rows are fetched: an UPDATE .. RETURNING that is not read to its end would hold up the commit.
    rows = connection.execute(statement, values).fetchall()
    return rows[0] if rows else None


def every(connection: sqlite3.Connection, statement: str, *values: object) -> list[Any]:
    """Return every row that the statement finds; the statement itself must carry a limit."""
    return connection.execute(statement, values).fetchall()


P = ParamSpec("P")
R = TypeVar("R")


class Store:
    """The database and its only thread. Work is done in the order it was handed in.

    A thread of its own because a commit waits for the disk: the event loop stays free to stamp the
    next request the moment it arrives.
    """

    def __init__(self, path: str) -> None:
        self.connection = connect(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="simulator-store")

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` on the database's thread and return what it returns; what it raises is raised here."""
        return await asyncio.wrap_future(self._thread.submit(work, *args, **kwargs))

    def close(self) -> None:
        """Finish what was handed in, then close the database. Closing it again changes nothing."""
        self._thread.shutdown()
        self.connection.close()
