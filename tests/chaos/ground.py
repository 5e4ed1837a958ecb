"""The ground of a storm: the real stack with two workers, a fault proxy before the external system, a small disk."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiohttp

from config.settings import ENV_PREFIX
from stack.parts import Stack
from stack.ports import HOST, free_port
from stack.process import Process
from tests.chaos.fault_proxy import FaultProxy
from tests.chaos.network_faults import Weather
from tests.chaos.shifted_clock import ShiftedClock
from tests.chaos.small_disk import SmallDisk, small_disk
from tests.e2e.conftest import System, e2e_settings
from tests.support.postgres import Postgres, public_folder, running_postgres

POLICY: dict[str, Any] = {
    "cancel_max_attempts": 4,
    "cancel_initial_interval_s": 0.3,
    "cancel_max_interval_s": 2,
    "confirm_after_s": 3,
    "expire_after_s": 10,
    "reconcile_every_s": 5,
}
"""Less patience than the defaults, so that a storm of minutes sees every ending many times."""

DISK_MIB = 512
"""More than the ledger of a storm needs, and a PostgreSQL with its write-ahead log around it."""


class LedgerKind(StrEnum):
    """Where the ledger is."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass
class Ground:
    """All that a storm goes on on."""

    system: System
    worker_b: Process
    proxy: FaultProxy
    weather: Weather
    database_url: str
    clocks: dict[str, ShiftedClock]
    """By process."""
    disk: SmallDisk | None
    """None where we may not mount one."""
    postgres: Postgres | None

    @property
    def stack(self) -> Stack:
        """The parts, but for the second worker."""
        return self.system.stack

    @property
    def workers(self) -> list[Process]:
        """Both workers; they share the work as two machines would."""
        return [self.stack.worker, self.worker_b]


@asynccontextmanager
async def ground(kind: LedgerKind, home: Path, weather: Weather) -> AsyncIterator[Ground]:
    """Build the ground in `home` and start every part; all is ended and unmounted when the context closes.

    What was written to `home`, logs above all, stays; what was there before goes.
    """
    shutil.rmtree(home, ignore_errors=True)
    async with AsyncExitStack() as resources:
        folder = resources.enter_context(_open_folder())
        disk = resources.enter_context(small_disk(folder, DISK_MIB))
        postgres = None
        if kind is LedgerKind.POSTGRESQL:
            postgres = await asyncio.to_thread(resources.enter_context, running_postgres(folder=folder))
        url = postgres.create_database("ledger") if postgres else f"sqlite:///{folder / 'ledger.db'}"
        settings = e2e_settings(home, database_url=url, **POLICY)
        stack = Stack(settings)
        proxy = FaultProxy(free_port(), settings.simulator_port, weather.next)
        await proxy.listen()
        resources.push_async_callback(proxy.close)
        worker_b = _second_worker(stack, proxy)
        clocks = _shifted_clocks(home, [stack.api, stack.worker, worker_b])
        await stack.start()
        resources.push_async_callback(stack.stop)
        resources.push_async_callback(worker_b.stop)
        await worker_b.start()
        # Each request on a connection of its own: what a killed API leaves half open must not reach the next request.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        http = await resources.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Ground(System(stack, http), worker_b, proxy, weather, url, clocks, disk, postgres)


@contextmanager
def _open_folder() -> Iterator[Path]:
    """Make a folder for the ledger that every account can reach: PostgreSQL runs under one of its own."""
    with tempfile.TemporaryDirectory(dir=public_folder(), prefix="chaos-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


def _second_worker(stack: Stack, proxy: FaultProxy) -> Process:
    """Have the workers call through the proxy, and return one more, which is like the first."""

    async def ready() -> bool:
        return "worker ready" in worker_b.tail()

    stack.worker.env[f"{ENV_PREFIX}EXTERNAL_BASE_URL"] = f"http://{HOST}:{proxy.port}"
    env = stack.worker.env | {f"{ENV_PREFIX}WORKER_METRICS_PORT": str(free_port())}
    worker_b = Process("worker-b", stack.worker.command, env, stack.log_dir, ready)
    return worker_b


def _shifted_clocks(home: Path, processes: list[Process]) -> dict[str, ShiftedClock]:
    home.mkdir(parents=True, exist_ok=True)
    clocks = {process.name: ShiftedClock(home / f"clock-of-{process.name}") for process in processes}
    for process in processes:
        clocks[process.name].beneath(process.env)
    return clocks
