"""Wait for a condition: how tests wait, instead of sleeping and hoping."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S, GROWTH = 0.02, 0.2, 1.2
"""A short wait ends at once. A long one asks rarely, so that the probes do not keep the machine busy."""


async def until(probe: Callable[[], Awaitable[T | None]], *, limit_s: float = 30, what: str = "the condition") -> T:
    """Return the probe's first truthy answer; fail the test if there is none within the limit."""
    pause_s = FIRST_PAUSE_S
    async with asyncio.timeout(limit_s):
        while not (found := await probe()):
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * GROWTH, LONGEST_PAUSE_S)
    assert found, what
    return found
