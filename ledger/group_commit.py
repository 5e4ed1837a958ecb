"""Group commit on SQLite: writes that are called concurrently share one transaction, and so one wait for the disk.

One thread writes. While it commits, the writes that arrive wait in a queue. Then it takes all of them at once. If the
thread is idle, a write starts at once, in a separate transaction.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")
Statements = Callable[[Connection], T]
"""Executes the statements of one write or read. It does not commit. It can be called again after a rollback."""

GROUP_MAX = 100
"""Maximum writes in one transaction. It limits how long other processes wait for the lock of the database."""


@dataclass(frozen=True)
class _Outcome:
    """What the thread reports of one write."""

    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class _Write:
    """A write in the queue. `answer` is resolved after the commit."""

    statements: Statements[Any]
    answer: "asyncio.Future[Any]"

    def resolve(self, outcome: _Outcome) -> None:
        """Give the caller its result or its error, if it still waits."""
        if self.answer.done():
            return
        if outcome.error is None:
            self.answer.set_result(outcome.value)
        else:
            self.answer.set_exception(outcome.error)


class GroupCommit:
    """The writer of one database. All calls must come from one event loop."""

    def __init__(self, database: Engine) -> None:
        """Take an engine whose transactions begin with the write lock."""
        self._database = database
        self._queued: deque[_Write] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._thread = _one_thread()

    async def write(self, statements: Statements[T]) -> T:
        """Execute the statements of one write, and return their result after the commit.

        Raises what the statements raise; then nothing of this write is written, and the other writes of the group are
        not affected. If the transaction cannot begin, such as on a locked database, each write of the group raises
        that error.
        """
        loop = asyncio.get_running_loop()
        write = _Write(statements, loop.create_future())
        self._queued.append(write)
        if self._writing is None:
            self._writing = loop.create_task(self._write_queued())
        result: T = await write.answer
        return result

    async def close(self) -> None:
        """Complete all writes in the queue, and end the thread. A later write starts another thread."""
        while self._writing is not None:
            await asyncio.wait({self._writing})
        self._thread.shutdown(wait=False)
        self._thread = _one_thread()

    async def _write_queued(self) -> None:
        try:
            while self._queued:
                group = [self._queued.popleft() for _ in range(min(GROUP_MAX, len(self._queued)))]
                for write, outcome in zip(group, await self._outcomes(group), strict=True):
                    write.resolve(outcome)
        finally:
            self._writing = None

    async def _outcomes(self, group: Sequence[_Write]) -> Sequence[_Outcome]:
        statements = [write.statements for write in group]
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, _commit, self._database, statements)
        except RuntimeError as error:  # the interpreter is shutting down and starts no thread any more
            return [_Outcome(error=error)] * len(group)


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-write")


def _commit(database: Engine, group: Sequence[Statements[Any]]) -> Sequence[_Outcome]:
    """Execute a group of writes in one transaction. Return after the commit, with one outcome for each write."""
    began = False
    try:
        with database.begin() as connection:
            began = True
            if len(group) == 1:
                return [_Outcome(group[0](connection))]
            return [_in_savepoint(connection, statements) for statements in group]
    except Exception as error:  # noqa: BLE001 - each caller gets it
        if len(group) == 1 or not began:
            return [_Outcome(error=error)] * len(group)
    # The whole transaction is lost: its commit failed, or one write made the database roll back everything, as a full
    # disk does. So each write is executed again in a separate transaction, where only its own failure can affect it.
    return [outcome for statements in group for outcome in _commit(database, [statements])]


def _in_savepoint(connection: Connection, statements: Statements[Any]) -> _Outcome:
    """Execute one write of a group. Raises an error only if the database has rolled back the whole transaction."""
    # With the driver: SQLAlchemy's `begin_nested` costs as much as the write.
    database: Any = connection.connection.driver_connection
    database.execute("SAVEPOINT one_write")
    try:
        value = statements(connection)
    except Exception as error:  # noqa: BLE001 - its caller gets it
        database.execute("ROLLBACK TO one_write")
        database.execute("RELEASE one_write")
        return _Outcome(error=error)
    database.execute("RELEASE one_write")
    return _Outcome(value)
