"""Measures how long something took, without what a busy machine added."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")

_TICK_S = 0.02
_COUNTED_PER_TICK_S = 2 * _TICK_S


class Stopwatch:
    """Counts the time in which this process could run.

    It ticks in the event loop. A tick that comes late, because the machine had something else to do, counts as two at
    most. So it never shows more than the real time, and on a quiet machine nearly as much.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    async def run(self) -> None:
        """Count until cancelled."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(_TICK_S)
            now = loop.time()
            self.seconds += min(now - before, _COUNTED_PER_TICK_S)
            before = now


@asynccontextmanager
async def stopwatch() -> AsyncIterator[Stopwatch]:
    """Run a stopwatch for the length of the block."""
    watch = Stopwatch()
    ticking = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])


async def timed(work: Awaitable[T]) -> tuple[T, float]:
    """Return a result and how many seconds of a quiet machine it took."""
    async with stopwatch() as watch:
        return await work, watch.seconds
