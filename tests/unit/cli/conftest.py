from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest_asyncio
from starlette.responses import Response

from tests.api.sockets import HOST, served, tcp_proxy
from tests.unit.cli.api_answers import COMPANY, ENDED
from tests.unit.cli.fake_api import FakeApi, fake_api_app
from tests.unit.cli.scripted_api import ScriptedApi


@dataclass(frozen=True)
class FakeServer:
    """A running fake API: its URL, and the data in it."""

    url: str
    ended: str
    """The number of a settlement that has ended after several states."""
    company: int
    """The only company with aborted settlements. A retry ends all of them."""

    async def get(self, path: str, **params: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return the JSON of a path, without the command."""
        async with httpx2.AsyncClient() as http:
            return (await http.get(self.url + path, params=params)).json()


@pytest_asyncio.fixture
async def fake_api() -> FakeApi:
    return FakeApi()


@pytest_asyncio.fixture
async def api(fake_api: FakeApi) -> AsyncIterator[FakeServer]:
    """Yield a running fake API with aborted settlements and open findings."""
    async with served(fake_api_app(fake_api)) as port:
        yield FakeServer(f"http://{HOST}:{port}", ENDED, COMPANY)


@pytest_asyncio.fixture
async def unreachable_url() -> AsyncIterator[str]:
    """Yield a URL where no server listens."""
    async with tcp_proxy() as reserved:
        yield f"http://{HOST}:{reserved.port}"


ServeScript = Callable[..., Awaitable[tuple[str, ScriptedApi]]]


@pytest_asyncio.fixture
async def serve_script() -> AsyncIterator[ServeScript]:
    """Yield a function that serves scripted responses; it returns the URL, and the object that records the requests."""
    async with AsyncExitStack() as stack:

        async def serve(*answers: Response, always: dict[str, Response] | None = None) -> tuple[str, ScriptedApi]:
            script = ScriptedApi(list(answers), always or {})
            port = await stack.enter_async_context(served(script.app()))
            return f"http://{HOST}:{port}", script

        yield serve
