"""The systems that are compared, each with its own fresh Temporal server under the same command and flags."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from temporalio.client import Client
from temporalio.converter import DataConverter

from bench.broker import RunningBroker
from bench.floor import READY, Floor
from bench.load import WAIT_S
from config.settings import Settings
from config.temporal import connect
from encryption.keys import KEY_BYTES
from stack.parts import Stack
from stack.ports import HOST, free_port, with_free_ports
from tests.support.postgres import Postgres, PostgresError, candidates, find_binaries, running_postgres
from workflows.order_settlement import OrderSettlement

LEDGER_DATABASE = "ledger"
_POLL_S = 0.2


class FloorStack(Stack):
    """The stack with the floor's worker and API instead of ours."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.worker = self._python("worker", "-m", "bench.floor", "worker", ready_log=READY)
        self.api = self._python("api", "-m", "bench.floor", "api", ready_url=f"{self.api_url}/readyz")


@dataclass(frozen=True)
class Measured:
    """A running system with what is needed to load and measure it."""

    stack: Stack
    broker: RunningBroker
    http: aiohttp.ClientSession
    temporal: Client
    workflow: str
    """The type of the workflow that settles an order."""
    metrics_url: str
    """The metrics of the Temporal server."""
    postgres: Postgres | None = None

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of everything that works for a settlement, by name. The broker does not count."""
        found = {part.name: part.pid for part in self.stack.parts}
        if self.postgres is not None:
            found["postgresql"] = int((self.postgres.home / "data" / "postmaster.pid").read_text().split()[0])
        return found

    async def drained(self, accepted: int, limit_s: float = 300) -> int:
        """Wait until `accepted` workflows have completed since the start of the system; return how many have.

        Returns fewer if they have not completed within the limit.
        """
        query = f"WorkflowType='{self.workflow}' AND ExecutionStatus='Completed'"
        give_up_at = time.monotonic() + limit_s
        while True:
            completed = (await self.temporal.count_workflows(query)).count
            if completed >= accepted or time.monotonic() > give_up_at:
                return completed
            await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def _running(
    stack: Stack, broker: RunningBroker, workflow: str, postgres: Postgres | None = None
) -> AsyncIterator[Measured]:
    metrics_port = free_port()
    # Without the option the server serves its metrics too, on a random port.
    stack.temporal.command = [*stack.temporal.command, "--metrics-port", str(metrics_port)]
    async with AsyncExitStack() as resources:
        resources.push_async_callback(stack.stop)
        await stack.start()
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        session = aiohttp.ClientSession(stack.api_url, connector=connector, timeout=timeout)
        http = await resources.enter_async_context(session)
        temporal = await connect(DataConverter.default, stack.temporal_address)
        yield Measured(stack, broker, http, temporal, workflow, f"http://{HOST}:{metrics_port}/metrics", postgres)


@asynccontextmanager
async def _broker(folder: Path) -> AsyncIterator[RunningBroker]:
    broker = RunningBroker(folder)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


def _settings(folder: Path, broker: RunningBroker, **fields: Any) -> Settings:  # noqa: ANN401 - any setting
    # Callers wait longer in a closed loop than an order may be old by default. Orders must be settled, not expire.
    fields = {"expire_after_s": WAIT_S} | fields
    return with_free_ports(Settings(state_dir=folder / "state", external_base_url=broker.url, **fields))


@asynccontextmanager
async def floor(folder: Path) -> AsyncIterator[Measured]:
    """Run the floor for the length of the block."""
    async with (
        _broker(folder) as broker,
        _running(FloorStack(_settings(folder, broker)), broker, Floor.__name__) as system,
    ):
        yield system


@asynccontextmanager
async def ours(folder: Path, **fields: Any) -> AsyncIterator[Measured]:  # noqa: ANN401 - any setting
    """Run the stack with all its features for the length of the block, with these settings; its ledger is on SQLite."""
    async with (
        _broker(folder) as broker,
        _running(Stack(_settings(folder, broker, **fields)), broker, OrderSettlement.__name__) as system,
    ):
        yield system


@asynccontextmanager
async def ours_on_postgresql(folder: Path, **fields: Any) -> AsyncIterator[Measured]:  # noqa: ANN401 - any setting
    """Run the same with its ledger on a separate PostgreSQL."""
    async with AsyncExitStack() as resources:
        postgres = await asyncio.to_thread(resources.enter_context, running_postgres())
        url = postgres.create_database(LEDGER_DATABASE)
        broker = await resources.enter_async_context(_broker(folder))
        stack = Stack(_settings(folder, broker, database_url=url, **fields))
        yield await resources.enter_async_context(_running(stack, broker, OrderSettlement.__name__, postgres))


@asynccontextmanager
async def ours_encrypted(folder: Path, **fields: Any) -> AsyncIterator[Measured]:  # noqa: ANN401 - any setting
    """Run the same with its ledger on SQLite, and with every payload encrypted."""
    keys, key = folder / "payload-keys.toml", folder / "payload-key"
    key.write_text(secrets.token_hex(KEY_BYTES))
    keys.write_text(f'active = "bench"\n[keys]\nbench = {{ file = "{key.absolute()}" }}\n')
    async with ours(folder, payload_keys=keys, **fields) as system:
        yield system


FLOOR = "floor"
ENCRYPTED = "SQLite, encrypted"
ONE_PROCESS = "one process"
POSTGRESQL = "PostgreSQL"
SYSTEMS: dict[str, Callable[[Path], AbstractAsyncContextManager[Measured]]] = {
    FLOOR: floor,
    "SQLite": ours,
    ONE_PROCESS: partial(ours, one_process="on"),
    POSTGRESQL: ours_on_postgresql,
    ENCRYPTED: ours_encrypted,
}
"""Everything that can be compared, by the name in the report."""


OPTIONAL = frozenset({ENCRYPTED})
"""Measured only if `--systems` names them."""


def available() -> list[str]:
    """Return the names of the systems that can run here; print which cannot, and why."""
    try:
        find_binaries(candidates())
    except PostgresError as error:
        print(f"{POSTGRESQL} is left out: {error}")
        return [name for name in SYSTEMS if name != POSTGRESQL]
    return list(SYSTEMS)
