"""What every transaction on the ledger's database has in common, whichever table it is about."""

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
    """Let a transaction end whatever becomes of its caller, and let no caller wait for ever.

    A caller who gives up stops waiting, not the transaction: cut short in the middle of a statement, SQLite's
    driver would leave it open, and its lock would keep every other writer out. A server that falls silent on
    an open connection keeps to no timeout of its own; after twice a statement's time it is a TimeoutError. What
    becomes of a transaction that its caller has given up is logged; a write that failed is repeated by its caller.
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
    """Log how a transaction ended whose caller has given up waiting: nobody else learns of its error."""
    if abandoned.cancelled():
        log.error("an abandoned transaction was cancelled", transaction=name)
    elif (error := abandoned.exception()) is not None:
        # The type and the database's own message; parameters, which are personal data, are hidden by the engine.
        log.error("an abandoned transaction failed", transaction=name, error=f"{type(error).__name__}: {error}")
    else:
        log.warning("an abandoned transaction was completed", transaction=name)


def insert(database: AsyncEngine, table: Table) -> Any:  # noqa: ANN401 - two dialects' Insert, alike but unrelated
    """Return the database's own INSERT, which knows what to do on a conflict."""
    dialect = postgresql if database.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
