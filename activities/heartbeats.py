"""Sends the heartbeats of a long activity."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity


@asynccontextmanager
async def heartbeats(limit: timedelta) -> AsyncIterator[None]:
    """Send a heartbeat every third of the heartbeat timeout `limit` while the context is open."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(limit.total_seconds() / 3)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
