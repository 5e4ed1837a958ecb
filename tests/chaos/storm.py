"""One storm from calm to calm: orders stream in, strike follows strike, then everything rests and is judged."""

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
from tests.chaos.callers import Callers
from tests.chaos.ground import Ground, LedgerKind, ground
from tests.chaos.network_faults import NetworkFault, Weather
from tests.chaos.operators import Operators
from tests.chaos.orders import orders
from tests.chaos.strikes import Strike, Strikes, Struck, drawn_strikes, possible_strikes
from tests.chaos.verdict import Verdict, judge
from tests.chaos.witnesses import Witnesses
from workflows.runtime import DATA_CONVERTER

FAULTY = 0.45
"""Orders that the external system itself treats badly."""
NETWORK_SHARE = 0.12
"""Exchanges that the network breaks in some way."""
AT_ONCE = 16
REST_WITHIN_S = 240.0
"""Beyond the longest way that any settlement has: expiry, rounds of cancels, quarantine, reconciliation."""


@dataclass(frozen=True)
class StormPlan:
    """How much of a storm."""

    kind: LedgerKind
    settlements: int
    """At least so many orders; a storm that strikes longer sees more."""
    kills: int
    rate_per_s: float
    seed: int
    others: int | None = None
    """How many strikes that kill nothing; None: each once."""


@dataclass(frozen=True)
class Placing:
    """One order in the picture: when it was posted, in seconds since the storm began."""

    number: str
    at_s: float


@dataclass(frozen=True)
class Storm:
    """All there is to tell of a storm."""

    plan: StormPlan
    struck: list[Struck]
    left_out: list[Strike]
    """What could not be done on this machine."""
    over_s: float
    """When the last order was answered."""
    at_rest_s: float
    """When nothing was under way any more."""
    placings: list[Placing]
    answers: Counter[int]
    network: Counter[NetworkFault]
    operator_actions: int
    verdict: Verdict


Tell = Callable[[str], None]


async def storm(plan: StormPlan, home: Path, tell: Tell) -> Storm:
    """Run a storm on a ground of its own in `home`, and judge it. StackError where a part cannot be started."""
    rng = random.Random(plan.seed)  # noqa: S311 - repeatable is the point
    weather = Weather(plan.seed, 0.0)
    async with ground(plan.kind, home, weather) as built:
        callers = Callers(built.system, rng)
        strikes = Strikes(built, callers, rng)
        operators = Operators(built.system, rng)
        possible = possible_strikes(built)
        weather.share = NETWORK_SHARE
        try:
            async with _under_way(operators.work()):
                await _blow(plan, callers, strikes, drawn_strikes(rng, possible, plan.kills, plan.others), tell)
                await callers.finish()
        finally:
            await callers.leave()
        over_s = strikes.now_s()
        weather.share = 0.0
        tell("calm: waiting until everything has come to rest")
        verdict, at_rest_s = await _rest_and_judge(built, callers, strikes)
        return Storm(
            plan,
            strikes.struck,
            [strike for strike in Strike if strike not in possible],
            over_s,
            at_rest_s,
            _placings(callers, strikes),
            callers.answers,
            weather.met,
            operators.actions,
            verdict,
        )


async def _blow(plan: StormPlan, callers: Callers, strikes: Strikes, drawn: list[Strike], tell: Tell) -> None:
    enough = asyncio.Event()
    stream = callers.stream(orders(plan.seed, faulty=FAULTY), plan.rate_per_s, AT_ONCE, enough)
    async with _under_way(stream) as streaming:
        for n, strike in enumerate(drawn, start=1):
            struck = await strikes.strike(strike)
            recovered = f"after {struck.recovery_s:.1f} s" if struck.recovery_s is not None else "NEVER"
            tell(f"{n}/{len(drawn)} {strike}: orders settled again {recovered}; {len(callers.placed)} orders so far")
        while len(callers.placed) < plan.settlements and not streaming.done():
            await asyncio.sleep(0.1)
        enough.set()
        await streaming


@asynccontextmanager
async def _under_way(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    """Do something beside the context, no longer than it is open."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _rest_and_judge(built: Ground, callers: Callers, strikes: Strikes) -> tuple[Verdict, float]:
    engine = open_engine(built.database_url)
    try:
        temporal = await Client.connect(built.stack.temporal_address, data_converter=DATA_CONVERTER)
        witnesses = Witnesses(built.system, Ledger(engine), temporal)
        with suppress(TimeoutError):  # what is not at rest then is a violation of its own
            async with asyncio.timeout(REST_WITHIN_S):
                while await witnesses.under_way() or await witnesses.open_findings():
                    await asyncio.sleep(1)
        at_rest_s = strikes.now_s()
        return await judge(witnesses, callers), at_rest_s
    finally:
        await engine.dispose()


def _placings(callers: Callers, strikes: Strikes) -> list[Placing]:
    return [Placing(placed.order.number, placed.began_s - strikes.began_s) for placed in callers.placed.values()]
