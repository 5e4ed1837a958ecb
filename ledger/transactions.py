"""Runs transactions so that a cancelled caller cannot break them, and builds INSERT statements for both databases.

Statements are synchronous functions of a connection, the same for both databases. SQLite executes each transaction in
one thread; concurrent writes share a commit. On PostgreSQL, each one is a transaction in the event loop: the server
groups commits itself.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import structlog
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import engine
from ledger.group_commit import Statements, T
from ledger.sqlite_engine import SqliteEngine

log = structlog.get_logger()

P = ParamSpec("P")

_abandoned: set["asyncio.Task[Any]"] = set()
"""Transactions whose callers have given up. The event loop refers to a task weakly; without this the garbage collector
may destroy one before its end."""


def shielded_transaction(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Decorate a method so that its transaction completes even if the caller is cancelled, and its wait is bounded.

    A cancelled caller stops waiting, but the transaction continues. If a statement were cancelled, SQLite's driver
    would leave the transaction open, and its lock would block every other writer.

    Raises TimeoutError after twice `STATEMENT_TIMEOUT_S`, for a server that no longer responds on an open connection.
    The transaction may still complete after that. Its result is then only logged: writes are idempotent, and their
    callers repeat them.
    """

    @functools.wraps(method)
    async def shielded(*args: P.args, **kwargs: P.kwargs) -> T:
        transaction = asyncio.create_task(method(*args, **kwargs))
        try:
            async with asyncio.timeout(2 * engine.STATEMENT_TIMEOUT_S):
                return await asyncio.shield(transaction)
        finally:
            if not transaction.done():
                _abandoned.add(transaction)
                transaction.add_done_callback(_abandoned.discard)
                transaction.add_done_callback(functools.partial(_log_end, method.__qualname__))

    return shielded


def _log_end(name: str, abandoned: "asyncio.Task[Any]") -> None:
    """Log the result of a transaction whose caller no longer waits for it."""
    if abandoned.cancelled():
        log.error("an abandoned transaction was cancelled", transaction=name)
    elif (error := abandoned.exception()) is not None:
        # The type and the database's message. The engine hides the parameters, which are personal data.
        log.error("an abandoned transaction failed", transaction=name, error=f"{type(error).__name__}: {error}")
    else:
        log.warning("an abandoned transaction was completed", transaction=name)


async def write(database: AsyncEngine, statements: Statements[T]) -> T:
    """Execute the statements of one writing transaction, and return their result after the commit is on disk.

    If they raise, nothing is written. They may be executed again after a rollback, so they must have no other effect.
    """
    if isinstance(database, SqliteEngine):
        return await database.write(statements)
    async with database.begin() as connection:
        return await connection.run_sync(statements)


async def read(database: AsyncEngine, statements: Statements[T]) -> T:
    """Execute statements that only read, in one transaction. With an engine of `reader`, they read one state."""
    if isinstance(database, SqliteEngine):
        return await database.read(statements)
    async with database.connect() as connection:
        return await connection.run_sync(statements)


def insert(database: AsyncEngine, table: Table) -> Any:  # noqa: ANN401 - as `insert_of`
    """Return the INSERT of the database's dialect."""
    return insert_of(database.dialect.name, table)


def insert_of(dialect: str, table: Table) -> Any:  # noqa: ANN401 - two dialects' Insert classes without a common type
    """Return the INSERT of a dialect, which supports ON CONFLICT."""
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)
