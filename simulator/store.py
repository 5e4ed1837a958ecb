"""One thread that owns the database, so that concurrent requests become one row of acts."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from simulator.database import connect

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
