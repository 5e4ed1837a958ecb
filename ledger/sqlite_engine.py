"""The engine on SQLite: WAL mode, every commit on disk, and threads for whole transactions.

The asynchronous driver changes threads several times for each statement. `write` and `read` execute all statements of a
transaction in one thread, with the synchronous driver. `AsyncEngine.begin` and `connect` are for everything else.
"""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ledger.group_commit import GroupCommit, Statements, T

READ_THREADS = 10
"""Maximum reads at once. One more waits until a thread is free."""

SQLITE_BEGIN = "sqlite_begin"
"""Execution option: the statement that begins a transaction on SQLite. BEGIN takes the write lock only when needed."""


class SqliteEngine(AsyncEngine):
    """An asynchronous engine on SQLite that can also execute whole transactions in threads. For one event loop."""

    def __init__(self, asynchronous: AsyncEngine, synchronous: Engine) -> None:
        super().__init__(asynchronous.sync_engine)
        self.synchronous = synchronous
        """The engine of the threads."""
        self._writes = GroupCommit(synchronous.execution_options(**{SQLITE_BEGIN: "BEGIN IMMEDIATE"}))
        self._readers = _read_threads()

    async def write(self, statements: Statements[T]) -> T:
        """Execute statements in a transaction that begins with the write lock; return after the commit is on disk.

        Concurrent writes share one commit (`ledger.group_commit`).
        """
        return await self._writes.write(statements)

    async def read(self, statements: Statements[T]) -> T:
        """Execute statements that read one consistent state."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, statements)

    def _read(self, statements: Statements[T]) -> T:
        with self.synchronous.connect() as connection:
            return statements(connection)

    async def dispose(self, close: bool = True) -> None:  # noqa: FBT001, FBT002 - as its base
        """Complete the writes that wait, then close all connections. The engine can be used again, as its base."""
        await self._writes.close()
        self._readers.shutdown(wait=False)
        self._readers = _read_threads()
        self.synchronous.dispose(close)
        await super().dispose(close)


def open_sqlite(url: URL, lock_timeout_s: float) -> SqliteEngine:
    """Return an engine on a database file. A statement waits for a lock of another connection up to the timeout."""
    arguments: dict[str, Any] = {"hide_parameters": True, "connect_args": {"timeout": lock_timeout_s}}
    asynchronous = create_async_engine(url.set(drivername="sqlite+aiosqlite"), **arguments)
    # One connection for each thread: the threads never wait for the pool.
    synchronous = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        poolclass=QueuePool,
        pool_size=READ_THREADS + 1,
        max_overflow=0,
        **arguments,
    )
    for engine in (asynchronous.sync_engine, synchronous):
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
    return SqliteEngine(asynchronous, synchronous)


def _read_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=READ_THREADS, thread_name_prefix="ledger-read")


def _set_up(connection: sqlite3.Connection, _: Any) -> None:  # noqa: ANN401 - SQLAlchemy's connection record
    # Python's sqlite3 begins no transaction before SELECT or CREATE. Reads would then be inconsistent, and a failed
    # migration could be applied in part. So we begin transactions ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(SQLITE_BEGIN, "BEGIN"))
