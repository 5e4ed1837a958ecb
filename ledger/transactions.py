"""What every transaction on the ledger's database has in common, whichever table it is about."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import engine

P = ParamSpec("P")
T = TypeVar("T")


def ends_by_itself(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let a transaction end whatever becomes of its caller, and let no caller wait for ever.

    A caller who gives up stops waiting, not the transaction: cut short in the middle of a statement, SQLite's
    driver would leave it open, and its lock would keep every other writer out. A server that falls silent on
    an open connection keeps to no timeout of its own; after twice a statement's time it is a TimeoutError.
    """

    @functools.wraps(method)
    async def shielded(*args: P.args, **kwargs: P.kwargs) -> T:
        transaction = asyncio.create_task(method(*args, **kwargs))
        # Its error, if no one waits for it any more, is no one's affair.
        transaction.add_done_callback(lambda done: done.cancelled() or done.exception())
        async with asyncio.timeout(2 * engine.STATEMENT_TIMEOUT_S):
            return await asyncio.shield(transaction)

    return shielded


def insert(database: AsyncEngine, table: Table) -> Any:  # noqa: ANN401 - two dialects' Insert, alike but unrelated
    """Return the database's own INSERT, which knows what to do on a conflict."""
    dialect = postgresql if database.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
