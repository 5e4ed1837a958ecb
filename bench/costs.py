"""Reads what the processes of a system have used: CPU, memory, requests to Temporal's database, ledger transactions."""

import asyncio
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.systems import LEDGER_DATABASE, Measured
from tests.support.processes import children, resident_kb

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)
"""utime, stime, cutime and cstime among the fields of /proc/PID/stat after the name (proc(5))."""
_STATISTICS_DELAY_S = 1.5
"""PostgreSQL publishes the statistics of a session at most once a second."""
_PERSISTENCE = re.compile(r"^persistence_requests(?:_total)?(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Costs:
    """What a system has used since its start; the difference of two is what it used in between."""

    cpu_ms: dict[str, float]
    """By process, with its children."""
    temporal_requests: float
    """Requests of the Temporal server to its own database."""

    def since(self, before: "Costs") -> "Costs":
        """Return what was used since `before`."""
        cpu = {name: used - before.cpu_ms[name] for name, used in self.cpu_ms.items()}
        return Costs(cpu, self.temporal_requests - before.temporal_requests)


async def costs(system: Measured) -> Costs:
    """Return what the system has used until now."""
    used = {name: tree_cpu_ms(pid) for name, pid in system.pids.items()}
    async with aiohttp.ClientSession() as session, session.get(system.metrics_url) as response:
        requests = persistence_requests(await response.text())
    return Costs(used, requests)


async def ledger_transactions(system: Measured) -> int | None:
    """Return the transactions on the ledger until now; None if its database does not count them, as SQLite.

    It waits for PostgreSQL's statistics, so it must not be called while CPU is counted.
    """
    if system.postgres is None:
        return None
    await asyncio.sleep(_STATISTICS_DELAY_S)
    return await asyncio.to_thread(system.postgres.transactions, LEDGER_DATABASE)


def cpu_ms(stat: str) -> float:
    """Return the CPU time in the text of /proc/PID/stat: of the process and of its children that have ended."""
    # The name may contain spaces and brackets, so the fields are counted from the last bracket.
    return sum(int(ticks) for ticks in stat.rpartition(")")[2].split()[_TIMES]) * TICK_MS


def tree_cpu_ms(pid: int) -> float:
    """Return the CPU time of a process and of everything that it has started; 0 if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        own = cpu_ms(Path(f"/proc/{pid}/stat").read_text())
        return own + sum(tree_cpu_ms(child) for child in children(pid))
    return 0.0


def resident_mib(pids: Iterable[int]) -> float:
    """Return the memory of processes now."""
    return sum(resident_kb(pid) for pid in pids) / 1024


def persistence_requests(metrics: str) -> float:
    """Return the number of requests to its database in the metrics of a Temporal server (Prometheus' text)."""
    return sum(float(value) for value in _PERSISTENCE.findall(metrics))
