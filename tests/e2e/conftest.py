"""The whole system as `make up` runs it, on ports and in a folder of its own."""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from multidict import CIMultiDictProxy

from config.settings import ENV_PREFIX, Settings
from settlement.states import State
from stack.parts import Stack
from stack.ports import PORT_SETTINGS, free_port
from stack.process import Process
from tests.support.orders import order
from tests.support.polling import until

QUICK: dict[str, Any] = {"cancel_max_attempts": 3, "cancel_initial_interval_s": 0.2, "confirm_after_s": 1}
UNDER_WAY = {State.ADJUSTING, State.CANCELLING}


def e2e_settings(state_dir: Path, **fields: Any) -> Settings:  # noqa: ANN401 - any setting
    """Return settings on free ports, with less patience than the defaults."""
    own = {"state_dir": state_dir, **{name: free_port() for name in PORT_SETTINGS}}
    return Settings(**(QUICK | own | fields))


@dataclass
class Answer:
    """One answer of the API."""

    status: int
    headers: CIMultiDictProxy[str]
    body: dict[str, Any]


@dataclass
class System:
    """The running stack with a client for both its doors."""

    stack: Stack
    http: aiohttp.ClientSession

    async def post(self, body: dict[str, Any], *, wait_s: int | None = 15, company_id: int | None = None) -> Answer:
        """Post an order."""
        headers = {"Prefer": f"wait={wait_s}"} if wait_s else {}
        headers |= {"companyId": str(company_id)} if company_id is not None else {}
        return await self._call("POST", f"{self.stack.api_url}/v1/settlements", json=body, headers=headers)

    async def get(self, number: str) -> Answer:
        """Read a settlement."""
        return await self._call("GET", f"{self.stack.api_url}/v1/settlements/{number}")

    async def act(self, number: str, act: str, body: dict[str, Any]) -> Answer:
        """Do what an operator does."""
        return await self._call("POST", f"{self.stack.api_url}/v1/settlements/{number}/{act}", json=body)

    async def ask(self, method: str, path: str, **options: Any) -> Answer:  # noqa: ANN401 - aiohttp's own options
        """Ask the API for anything else."""
        return await self._call(method, f"{self.stack.api_url}{path}", **options)

    async def look(self, page: str, **params: str | int) -> dict[str, Any]:
        """Return one of the simulator's pages for looking inside."""
        url = f"{self.stack.external_url}/simulator/{page}"
        return (await self._call("GET", url, params=params)).body

    async def outage(self, mode: str, company_id: int) -> None:
        """Begin or end an outage of the external system for one company."""
        outage = {"mode": mode, "companyId": company_id}
        await self._call("PUT", f"{self.stack.external_url}/simulator/outage", json=outage)

    async def ends(self, number: str) -> dict[str, Any]:
        """Wait until nothing more happens by itself, and return the resource."""

        async def probe() -> dict[str, Any] | None:
            answer = await self.get(number)
            return answer.body if answer.status == 200 and answer.body["state"] not in UNDER_WAY else None

        return await until(probe, limit_s=60, what=f"{number} to end")

    async def calls(self, number: str) -> list[dict[str, Any]]:
        """Return every request about an adjust's number that reached the external system, in order."""
        return list((await self.look("calls", number=number))["calls"])

    async def journal(self, after: int = 0) -> list[dict[str, Any]]:
        """Return every request that reached the external system after the one with the id `after`, in order."""
        calls: list[dict[str, Any]] = []
        while True:
            more = (await self.look("calls", after=calls[-1]["id"] if calls else after))["calls"]
            if not more:
                return calls
            calls += more

    async def adjusts(self, number: str) -> list[dict[str, Any]]:
        """Return the adjusts among them."""
        return [call for call in await self.calls(number) if call["operation"] == "ADJUST"]

    async def cancels(self, number: str) -> list[dict[str, Any]]:
        """Return the cancels among them."""
        return [call for call in await self.calls(number) if call["operation"] != "ADJUST"]

    async def books(self, number: str) -> dict[str, Any]:
        """Return what the external system's own books say of an adjust."""
        return await self.look(f"numbers/{number}")

    async def adjust_arrives(self, number: str) -> None:
        """Wait until the adjust is at the external system."""

        async def probe() -> bool:
            return bool(await self.adjusts(number))

        await until(probe)

    async def _call(self, method: str, url: str, **options: Any) -> Answer:  # noqa: ANN401 - aiohttp's own options
        async with self.http.request(method, url, **options) as response:
            return Answer(response.status, response.headers, await response.json())


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[System]:
    """Run a stack for as long as the caller needs it."""
    stack = Stack(settings)
    await stack.start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            yield System(stack, http)
    finally:
        await stack.stop()


@pytest_asyncio.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Return the stack that tests share which leave it as they found it."""
    async with running(e2e_settings(tmp_path_factory.mktemp("e2e"))) as started:
        yield started


@pytest_asyncio.fixture
async def breakable(system: System) -> AsyncIterator[System]:
    """Return the shared stack for a test that stops, kills or freezes parts of it; afterwards all of them run again."""
    yield system
    for part in system.stack.parts:
        if part.running:
            os.kill(part.pid, signal.SIGCONT)
        else:
            await part.start()


@asynccontextmanager
async def restarted(part: Process, **fields: Any) -> AsyncIterator[None]:  # noqa: ANN401 - any setting
    """Run a part of a stack with other settings for as long as the context is open."""
    before = part.env
    part.env = before | {f"{ENV_PREFIX}{name}".upper(): str(value) for name, value in fields.items()}
    try:
        await part.stop()
        await part.start()
        yield
    finally:
        part.env = before
        await part.stop()
        await part.start()


def faulty(adjust: str | None = None, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - the simulator's own options
    """Return an order that asks the simulator to misbehave."""
    faults = ({"adjust": adjust} if adjust else {}) | fields
    return order(metadata=json.dumps({"simulate": faults}, separators=(",", ":")))
