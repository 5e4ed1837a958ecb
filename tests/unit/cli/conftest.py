from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest_asyncio
from starlette.responses import Response

from tests.api.sockets import HOST, served, tcp_proxy
from tests.unit.cli.api_answers import COMPANY, ENDED
from tests.unit.cli.scripted_api import Scripted
from tests.unit.cli.world import World, world_app


@dataclass(frozen=True)
class Place:
    """Where the API is, and what can be found there."""

    url: str
    ended: str
    """A settlement that went through several states to its end."""
    company: int
    """It has aborted settlements that a retry brings to their end, and nothing else is open."""

    async def get(self, path: str, **params: str) -> Any:  # noqa: ANN401 - whatever is there
        """Read from the API directly."""
        async with httpx2.AsyncClient() as http:
            return (await http.get(self.url + path, params=params)).json()


@pytest_asyncio.fixture
async def world() -> World:
    return World()


@pytest_asyncio.fixture
async def place(world: World) -> AsyncIterator[Place]:
    """Yield a double of the API with a night's worth of trouble in it."""
    async with served(world_app(world)) as port:
        yield Place(f"http://{HOST}:{port}", ENDED, COMPANY)


@pytest_asyncio.fixture
async def dead_url() -> AsyncIterator[str]:
    """Yield where nobody listens."""
    async with tcp_proxy() as held:
        yield f"http://{HOST}:{held.port}"


Script = Callable[..., Awaitable[tuple[str, Scripted]]]


@pytest_asyncio.fixture
async def scripted() -> AsyncIterator[Script]:
    """Yield what serves a script: give it the answers, get the URL and what it has seen."""
    async with AsyncExitStack() as stack:

        async def serve(*answers: Response, always: dict[str, Response] | None = None) -> tuple[str, Scripted]:
            script = Scripted(list(answers), always or {})
            port = await stack.enter_async_context(served(script.app()))
            return f"http://{HOST}:{port}", script

        yield serve
