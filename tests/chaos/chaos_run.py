"""One chaos run: a stream of orders with one fault after the other; then a check when all work has ended."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client

from ledger import Ledger, open_engine
from tests.chaos.assessment import Assessment, assess
from tests.chaos.callers import Callers
from tests.chaos.chaos_stack import ChaosStack, LedgerKind, chaos_stack
from tests.chaos.evidence_collector import EvidenceCollector
from tests.chaos.network_faults import NetworkFault, NetworkFaults
from tests.chaos.operators import Operators
from tests.chaos.orders import orders
from tests.chaos.system_faults import FaultInjector, InjectedFault, SystemFault, drawn_faults, possible_faults
from workflows.runtime import DATA_CONVERTER

FAULTY = 0.45
"""Share of the orders for which the external system fails."""
NETWORK_SHARE = 0.12
"""Share of the exchanges with a fault of the network."""
AT_ONCE = 16
REST_WITHIN_S = 240.0
"""Longer than any settlement takes: expiry, rounds of cancels, quarantine, reconciliation."""


@dataclass(frozen=True)
class ChaosPlan:
    """The size of a chaos run."""

    kind: LedgerKind
    settlements: int
    """Minimum number of orders. A longer chaos run has more."""
    kills: int
    rate_per_s: float
    seed: int
    others: int | None = None
    """Number of faults that kill nothing; None: each once."""


@dataclass(frozen=True)
class PostedOrder:
    """One order in the chart, with the time of its POST in seconds since the start."""

    number: str
    at_s: float


@dataclass(frozen=True)
class ChaosResult:
    """The results of a chaos run."""

    plan: ChaosPlan
    injected: list[InjectedFault]
    left_out: list[SystemFault]
    """Faults that are not possible on this machine."""
    over_s: float
    """Time of the last response to an order, in seconds since the start."""
    at_rest_s: float
    """Time at which all work had ended."""
    posted_orders: list[PostedOrder]
    answers: Counter[int]
    network: Counter[NetworkFault]
    operator_actions: int
    assessment: Assessment


Progress = Callable[[str], None]


async def chaos_run(plan: ChaosPlan, home: Path, progress: Progress) -> ChaosResult:
    """Inject faults into a new stack in `home`, and check the invariant. Raises StackError if a part does not start."""
    rng = random.Random(plan.seed)  # noqa: S311 - repeatable is the point
    network = NetworkFaults(plan.seed, 0.0)
    async with chaos_stack(plan.kind, home, network) as built:
        callers = Callers(built.system, rng)
        injector = FaultInjector(built, callers, rng)
        operators = Operators(built.system, rng)
        possible = possible_faults(built)
        network.share = NETWORK_SHARE
        try:
            async with _under_way(operators.work()):
                await _inject_all(
                    plan, callers, injector, drawn_faults(rng, possible, plan.kills, plan.others), progress
                )
                await callers.finish()
        finally:
            await callers.cancel()
        over_s = injector.now_s()
        network.share = 0.0
        progress("no more faults: waiting until all work has ended")
        assessment, at_rest_s = await _rest_and_assess(built, callers, injector)
        return ChaosResult(
            plan,
            injector.injected,
            [fault for fault in SystemFault if fault not in possible],
            over_s,
            at_rest_s,
            _posted_orders(callers, injector),
            callers.answers,
            network.counts,
            operators.actions,
            assessment,
        )


async def _inject_all(
    plan: ChaosPlan, callers: Callers, injector: FaultInjector, drawn: list[SystemFault], progress: Progress
) -> None:
    enough = asyncio.Event()
    stream = callers.stream(orders(plan.seed, faulty=FAULTY), plan.rate_per_s, AT_ONCE, enough)
    async with _under_way(stream) as streaming:
        for n, fault in enumerate(drawn, start=1):
            injected = await injector.inject(fault)
            recovered = f"after {injected.recovery_s:.1f} s" if injected.recovery_s is not None else "NEVER"
            progress(f"{n}/{len(drawn)} {fault}: orders settled again {recovered}; {len(callers.placed)} orders so far")
        while len(callers.placed) < plan.settlements and not streaming.done():
            await asyncio.sleep(0.1)
        enough.set()
        await streaming


@asynccontextmanager
async def _under_way(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    """Run a task while the context is open."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _rest_and_assess(built: ChaosStack, callers: Callers, injector: FaultInjector) -> tuple[Assessment, float]:
    engine = open_engine(built.database_url)
    try:
        temporal = await Client.connect(built.stack.temporal_address, data_converter=DATA_CONVERTER)
        collector = EvidenceCollector(built.system, Ledger(engine), temporal)
        with suppress(TimeoutError):  # unfinished work is then a violation
            async with asyncio.timeout(REST_WITHIN_S):
                while await collector.unfinished() or await collector.open_findings():
                    await asyncio.sleep(1)
        at_rest_s = injector.now_s()
        return await assess(collector, callers), at_rest_s
    finally:
        await engine.dispose()


def _posted_orders(callers: Callers, injector: FaultInjector) -> list[PostedOrder]:
    return [PostedOrder(placed.order.number, placed.began_s - injector.began_s) for placed in callers.placed.values()]
