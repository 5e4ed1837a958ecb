"""The system under test: the real stack with two workers, a fault proxy, and a small disk for the ledger."""

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
from tests.chaos.host_faults import ShiftedClock, SmallDisk, small_disk
from tests.chaos.network_faults import NetworkFaults
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
"""Shorter times than the defaults, so that every end state occurs many times in a few minutes."""

DISK_MIB = 512
"""More than the ledger of a chaos run needs, including the write-ahead log of PostgreSQL."""


class LedgerKind(StrEnum):
    """The database of the ledger."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass
class ChaosStack:
    """The running system, and the handles for its faults."""

    system: System
    worker_b: Process
    proxy: FaultProxy
    network: NetworkFaults
    database_url: str
    clocks: dict[str, ShiftedClock]
    """By name of the process."""
    disk: SmallDisk | None
    """None without permission to mount."""
    postgres: Postgres | None

    @property
    def stack(self) -> Stack:
        """All parts except the second worker."""
        return self.system.stack

    @property
    def workers(self) -> list[Process]:
        """Both workers; they share the work like two machines."""
        return [self.stack.worker, self.worker_b]


@asynccontextmanager
async def chaos_stack(kind: LedgerKind, home: Path, network: NetworkFaults) -> AsyncIterator[ChaosStack]:
    """Start every part, with its files in `home`. Stop and unmount everything when the context ends.

    `home` is deleted before the start. Its files, mainly logs, remain afterwards.
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
        proxy = FaultProxy(free_port(), settings.simulator_port, network.next)
        await proxy.listen()
        resources.push_async_callback(proxy.close)
        worker_b = _second_worker(stack, proxy)
        clocks = _shifted_clocks(home, [stack.api, stack.worker, worker_b])
        await stack.start()
        resources.push_async_callback(stack.stop)
        resources.push_async_callback(worker_b.stop)
        await worker_b.start()
        # One connection per request: a half-open connection to a killed API must not affect the next request.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        http = await resources.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield ChaosStack(System(stack, http), worker_b, proxy, network, url, clocks, disk, postgres)


@contextmanager
def _open_folder() -> Iterator[Path]:
    """Make a folder that every account can read: PostgreSQL runs under a separate account."""
    with tempfile.TemporaryDirectory(dir=public_folder(), prefix="chaos-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


def _second_worker(stack: Stack, proxy: FaultProxy) -> Process:
    """Make the workers call through the proxy, and return a second worker that is configured like the first."""

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
        clocks[process.name].install(process.env)
    return clocks
