"""Runs transactions so that a cancelled caller cannot break them, and builds INSERT statements for both databases."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import structlog
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import engine

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

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


def insert(database: AsyncEngine, table: Table) -> Any:  # noqa: ANN401 - two dialects' Insert classes without a common type
    """Return the INSERT of the database's dialect, which supports ON CONFLICT."""
    dialect = postgresql if database.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
