"""One world for all tests of a file."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.simulation.run import new_world
from tests.simulation.world import World


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small_world() -> AsyncIterator[World]:
    """Yield a world of the product's own workflow and activities; while it is there, lost workers are noticed soon."""
    async with new_world() as made:
        yield made
