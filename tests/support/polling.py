"""Wait for a condition: how tests wait, instead of sleeping and hoping."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(probe: Callable[[], Awaitable[T | None]], *, limit_s: float = 30, what: str = "the condition") -> T:
    """Return the probe's first truthy answer; fail the test if there is none within the limit."""
    async with asyncio.timeout(limit_s):
        while not (found := await probe()):
            await asyncio.sleep(0.02)
    assert found, what
    return found
