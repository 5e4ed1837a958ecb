"""Faults of processes, disk, clocks, network and workflows, and the time until orders are settled again."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from temporalio.client import Client
from temporalio.service import RPCError

from settlement.ids import SETTLEMENT_WORKFLOW
from settlement.states import Decision
from stack.process import Process
from tests.chaos.callers import Callers
from tests.chaos.chaos_stack import ChaosStack
from tests.chaos.orders import plain_order

T = TypeVar("T")

DOWN_MAX_S = 3.0
"""Maximum time until a killed process is restarted, as a supervisor does."""
LASTS_S = 5.0
"""Duration of a full disk, a wrong clock, a closed network."""
FROZEN_S = 8.0
"""Longer than Temporal waits for an activity, so what the worker reports afterwards is too late."""
CLOCK_SHIFT_S = 3_600
OPEN_SETTLEMENTS = f"WorkflowType = '{SETTLEMENT_WORKFLOW}' AND ExecutionStatus = 'Running'"
CANARIES = 2
"""Orders posted at once to see whether one is settled: the network may fail for one of them."""
RECOVERS_WITHIN_S = 120.0


class SystemFault(StrEnum):
    """All faults. A kill is SIGKILL."""

    KILL_WORKER = "kill worker"
    KILL_BOTH_WORKERS = "kill both workers"
    KILL_API = "kill API"
    KILL_TEMPORAL = "kill Temporal"
    KILL_EXTERNAL_SYSTEM = "kill external system"
    KILL_POSTGRESQL = "kill PostgreSQL"
    FREEZE_WORKER = "freeze worker"
    DISK_FULL = "disk full"
    WORKER_CLOCKS_AHEAD = "workers' clocks 1 h ahead"
    WORKER_CLOCK_BACK = "one worker's clock 1 h back"
    API_CLOCK_AHEAD = "API's clock 1 h ahead"
    API_CLOCK_BACK = "API's clock 1 h back"
    NETWORK_CLOSED = "network closed"
    WORKFLOWS_TERMINATED = "all workflows terminated"

    @property
    def is_kill(self) -> bool:
        """Whether a process is killed."""
        return self.value.startswith("kill")


@dataclass
class InjectedFault:
    """One injected fault. Times are in seconds since the start of the chaos run."""

    fault: SystemFault
    at_s: float
    over_s: float
    """End of the fault: the part was up again."""
    recovered_s: float | None
    """When an order posted after the fault was settled; None if none was within the limit."""

    @property
    def recovery_s(self) -> float | None:
        """From the fault until orders were settled again."""
        return None if self.recovered_s is None else self.recovered_s - self.at_s


def possible_faults(target: ChaosStack) -> list[SystemFault]:
    """Return the faults that are possible on this stack. The report lists the others."""
    missing: set[SystemFault] = set()
    if target.postgres is None:
        missing.add(SystemFault.KILL_POSTGRESQL)
    if target.disk is None:
        missing.add(SystemFault.DISK_FULL)
    return [fault for fault in SystemFault if fault not in missing]


def drawn_faults(
    rng: random.Random, possible: Iterable[SystemFault], kills: int, others: int | None = None
) -> list[SystemFault]:
    """Draw a sequence of faults: `kills` kills, spread evenly over the processes, and `others` other faults.

    If `others` is None, each of the other faults occurs once.
    """
    everything = list(possible)
    killable = [fault for fault in everything if fault.is_kill]
    rest = [fault for fault in everything if not fault.is_kill]
    drawn = [killable[n % len(killable)] for n in range(kills)] + rng.sample(rest, others or len(rest))
    rng.shuffle(drawn)
    return drawn


class FaultInjector:
    """Injects faults one after the other. After each, it waits until orders are settled again."""

    def __init__(self, target: ChaosStack, callers: Callers, rng: random.Random) -> None:
        self._target = target
        self._callers = callers
        self._rng = rng
        self.began_s = time.monotonic()
        """Monotonic clock."""
        self.injected: list[InjectedFault] = []
        stack = target.stack
        assert stack.simulator is not None
        self._injections: dict[SystemFault, Callable[[], Awaitable[None]]] = {
            SystemFault.KILL_WORKER: lambda: self._kill(self._rng.choice(target.workers)),
            SystemFault.KILL_BOTH_WORKERS: lambda: self._kill(*target.workers),
            SystemFault.KILL_API: lambda: self._kill(stack.api),
            SystemFault.KILL_TEMPORAL: lambda: self._kill(stack.temporal),
            SystemFault.KILL_EXTERNAL_SYSTEM: lambda: self._kill(_present(stack.simulator)),
            SystemFault.KILL_POSTGRESQL: self._kill_postgres,
            SystemFault.FREEZE_WORKER: self._freeze,
            SystemFault.DISK_FULL: self._fill_disk,
            SystemFault.WORKER_CLOCKS_AHEAD: lambda: self._shift(CLOCK_SHIFT_S, *target.workers),
            SystemFault.WORKER_CLOCK_BACK: lambda: self._shift(-CLOCK_SHIFT_S, target.worker_b),
            SystemFault.API_CLOCK_AHEAD: lambda: self._shift(CLOCK_SHIFT_S, stack.api),
            SystemFault.API_CLOCK_BACK: lambda: self._shift(-CLOCK_SHIFT_S, stack.api),
            SystemFault.NETWORK_CLOSED: self._close_network,
            SystemFault.WORKFLOWS_TERMINATED: self._terminate_workflows,
        }

    def now_s(self) -> float:
        """Return the seconds since the chaos run began."""
        return time.monotonic() - self.began_s

    async def inject(self, fault: SystemFault) -> InjectedFault:
        """Inject a fault, undo it, and wait until orders are settled again."""
        at_s = self.now_s()
        await self._injections[fault]()
        injected = InjectedFault(fault, at_s, self.now_s(), None)
        try:
            async with asyncio.timeout(RECOVERS_WITHIN_S):
                await self._settles_again()
            injected.recovered_s = self.now_s()
        except TimeoutError:
            pass
        self.injected.append(injected)
        return injected

    async def _settles_again(self) -> None:
        """Post orders until one is settled."""
        while True:
            canaries = [self._callers.place(plain_order()) for _ in range(CANARIES)]
            for canary in asyncio.as_completed(canaries):
                if Decision.PROCEED in (await canary).decisions:
                    return

    async def _kill(self, *processes: Process) -> None:
        for process in processes:
            await process.kill()
        await asyncio.sleep(self._rng.uniform(0, DOWN_MAX_S))
        for process in processes:
            await process.start()

    async def _kill_postgres(self) -> None:
        postgres = _present(self._target.postgres)
        await asyncio.to_thread(postgres.kill9)
        await asyncio.sleep(self._rng.uniform(0, DOWN_MAX_S))
        await asyncio.to_thread(postgres.start)

    async def _freeze(self) -> None:
        pid = self._rng.choice(self._target.workers).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(FROZEN_S)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def _fill_disk(self) -> None:
        disk, postgres = _present(self._target.disk), self._target.postgres
        disk.fill()
        await asyncio.sleep(LASTS_S)
        disk.free()
        if postgres is not None:  # it may have stopped
            await asyncio.to_thread(postgres.start)

    async def _shift(self, seconds: int, *processes: Process) -> None:
        clocks = [self._target.clocks[process.name] for process in processes]
        for clock in clocks:
            clock.shift(seconds)
        await asyncio.sleep(LASTS_S)
        for clock in clocks:
            clock.shift(0)

    async def _close_network(self) -> None:
        await self._target.proxy.refuse()
        await asyncio.sleep(LASTS_S)
        await self._target.proxy.listen()

    async def _terminate_workflows(self) -> None:
        """Terminate every open settlement, as a batch operation in the Temporal UI does."""
        temporal = await Client.connect(self._target.stack.temporal_address)
        async for each in temporal.list_workflows(OPEN_SETTLEMENTS):
            with suppress(RPCError):  # it has completed meanwhile
                await temporal.get_workflow_handle(each.id, run_id=each.run_id).terminate("by mistake")


def _present(part: T | None) -> T:
    assert part is not None
    return part
