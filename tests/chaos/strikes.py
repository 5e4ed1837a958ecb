"""What strikes the system during a storm, and how long it takes until orders are settled again."""

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
from tests.chaos.ground import Ground
from tests.chaos.orders import plain_order

T = TypeVar("T")

DOWN_MAX_S = 3.0
"""How long at most a killed process stays down before it is started again, as a supervisor would."""
LASTS_S = 5.0
"""How long a disk stays full, a clock wrong, a network closed."""
FROZEN_S = 8.0
"""Longer than Temporal waits for a call's report: what the worker still does afterwards comes too late."""
CLOCK_SHIFT_S = 3_600
OPEN_SETTLEMENTS = f"WorkflowType = '{SETTLEMENT_WORKFLOW}' AND ExecutionStatus = 'Running'"
CANARIES = 2
"""Orders posted at once to see whether any is settled: the network may take one of them."""
RECOVERS_WITHIN_S = 120.0


class Strike(StrEnum):
    """All that can strike. A kill is SIGKILL."""

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
class Struck:
    """One strike: moments in seconds since the storm began."""

    strike: Strike
    at_s: float
    over_s: float
    """When what was struck was there again."""
    recovered_s: float | None
    """When an order that was posted after the strike was settled; None: none was, within the limit."""

    @property
    def recovery_s(self) -> float | None:
        """From the strike until orders were settled again."""
        return None if self.recovered_s is None else self.recovered_s - self.at_s


def possible_strikes(ground: Ground) -> list[Strike]:
    """Return all that can be done on this ground; what is missing here goes into the report."""
    missing: set[Strike] = set()
    if ground.postgres is None:
        missing.add(Strike.KILL_POSTGRESQL)
    if ground.disk is None:
        missing.add(Strike.DISK_FULL)
    return [strike for strike in Strike if strike not in missing]


def drawn_strikes(
    rng: random.Random, possible: Iterable[Strike], kills: int, others: int | None = None
) -> list[Strike]:
    """Draw an order of strikes: so many kills, spread evenly over what can be killed, and so many others.

    Without a number each of the others comes once.
    """
    everything = list(possible)
    killable = [strike for strike in everything if strike.is_kill]
    rest = [strike for strike in everything if not strike.is_kill]
    drawn = [killable[n % len(killable)] for n in range(kills)] + rng.sample(rest, others or len(rest))
    rng.shuffle(drawn)
    return drawn


class Strikes:
    """Carries strikes out, one after the other, and waits after each until orders are settled again."""

    def __init__(self, ground: Ground, callers: Callers, rng: random.Random) -> None:
        self._ground = ground
        self._callers = callers
        self._rng = rng
        self.began_s = time.monotonic()
        """Monotonic clock."""
        self.struck: list[Struck] = []
        stack = ground.stack
        assert stack.simulator is not None
        self._acts: dict[Strike, Callable[[], Awaitable[None]]] = {
            Strike.KILL_WORKER: lambda: self._kill(self._rng.choice(ground.workers)),
            Strike.KILL_BOTH_WORKERS: lambda: self._kill(*ground.workers),
            Strike.KILL_API: lambda: self._kill(stack.api),
            Strike.KILL_TEMPORAL: lambda: self._kill(stack.temporal),
            Strike.KILL_EXTERNAL_SYSTEM: lambda: self._kill(_there(stack.simulator)),
            Strike.KILL_POSTGRESQL: self._kill_postgres,
            Strike.FREEZE_WORKER: self._freeze,
            Strike.DISK_FULL: self._fill_disk,
            Strike.WORKER_CLOCKS_AHEAD: lambda: self._shift(CLOCK_SHIFT_S, *ground.workers),
            Strike.WORKER_CLOCK_BACK: lambda: self._shift(-CLOCK_SHIFT_S, ground.worker_b),
            Strike.API_CLOCK_AHEAD: lambda: self._shift(CLOCK_SHIFT_S, stack.api),
            Strike.API_CLOCK_BACK: lambda: self._shift(-CLOCK_SHIFT_S, stack.api),
            Strike.NETWORK_CLOSED: self._close_network,
            Strike.WORKFLOWS_TERMINATED: self._terminate_workflows,
        }

    def now_s(self) -> float:
        """Return the seconds since the storm began."""
        return time.monotonic() - self.began_s

    async def strike(self, strike: Strike) -> Struck:
        """Strike, undo it, and wait until orders are settled again."""
        at_s = self.now_s()
        await self._acts[strike]()
        struck = Struck(strike, at_s, self.now_s(), None)
        try:
            async with asyncio.timeout(RECOVERS_WITHIN_S):
                await self._settles_again()
            struck.recovered_s = self.now_s()
        except TimeoutError:
            pass
        self.struck.append(struck)
        return struck

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
        postgres = _there(self._ground.postgres)
        await asyncio.to_thread(postgres.kill9)
        await asyncio.sleep(self._rng.uniform(0, DOWN_MAX_S))
        await asyncio.to_thread(postgres.start)

    async def _freeze(self) -> None:
        pid = self._rng.choice(self._ground.workers).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(FROZEN_S)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def _fill_disk(self) -> None:
        disk, postgres = _there(self._ground.disk), self._ground.postgres
        disk.fill()
        await asyncio.sleep(LASTS_S)
        disk.free()
        if postgres is not None:  # it may have given up
            await asyncio.to_thread(postgres.start)

    async def _shift(self, seconds: int, *processes: Process) -> None:
        clocks = [self._ground.clocks[process.name] for process in processes]
        for clock in clocks:
            clock.shift(seconds)
        await asyncio.sleep(LASTS_S)
        for clock in clocks:
            clock.shift(0)

    async def _close_network(self) -> None:
        await self._ground.proxy.refuse()
        await asyncio.sleep(LASTS_S)
        await self._ground.proxy.listen()

    async def _terminate_workflows(self) -> None:
        """End every settlement that is open, as somebody does who selects them all in the UI."""
        temporal = await Client.connect(self._ground.stack.temporal_address)
        async for each in temporal.list_workflows(OPEN_SETTLEMENTS):
            with suppress(RPCError):  # it came to its end meanwhile
                await temporal.get_workflow_handle(each.id, run_id=each.run_id).terminate("by mistake")


def _there(part: T | None) -> T:
    assert part is not None
    return part
