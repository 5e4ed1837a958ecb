"""Separate stacks for measurements that compare two of them, and the rounds that alternate between them."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp

from config.settings import Settings
from stack.parts import Stack
from stack.ports import PORT_SETTINGS, free_port

T = TypeVar("T")


@asynccontextmanager
async def running_stack(settings: Settings, *, tuned_temporal: bool = True) -> AsyncIterator[Stack]:
    """Run a stack on free ports for the length of the block. Several can run at the same time."""
    ports = {name: free_port() for name in PORT_SETTINGS}
    stack = Stack(settings.model_copy(update=ports), tuned_temporal=tuned_temporal)
    await stack.start()
    try:
        yield stack
    finally:
        await stack.stop()


def connected(stack: Stack) -> aiohttp.ClientSession:
    """Return a session with the API of a stack, without a limit of connections."""
    return aiohttp.ClientSession(stack.api_url, connector=aiohttp.TCPConnector(limit=0))


def alternating(sides: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield every side once in each round, with the number of the round.

    Each round reverses the order of the previous one. So a busy machine, or a machine that becomes slower, affects all
    sides alike.
    """
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            yield number, side
