"""Runs seeds, several concurrently, and sums up their results."""

import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from ledger import open_engine
from ledger.migrate import migrate
from settlement.states import State
from tests.simulation.seeds import plans_of
from tests.simulation.simulated_settlement import FaultyLedger
from tests.simulation.violation import Violation
from tests.simulation.workers import world
from tests.simulation.world import World
from tests.support.sagas import time_skipping

SEEDS_AT_ONCE = 12


@dataclass
class RunTotals:
    """The totals of several seeds."""

    seeds: int = 0
    settlements: int = 0
    calls: int = 0
    """Number of attempts of external calls."""
    ends: Counter[State] = field(default_factory=Counter)
    violations: list[tuple[int, Violation]] = field(default_factory=list)
    """By seed."""

    def add(self, other: "RunTotals") -> None:
        """Add the totals of another run."""
        self.seeds += other.seeds
        self.settlements += other.settlements
        self.calls += other.calls
        self.ends.update(other.ends)
        self.violations += other.violations

    def in_words(self, elapsed_s: float) -> str:
        """Return the summary in one line."""
        ends = ", ".join(f"{count} {state}" for state, count in sorted(self.ends.items()))
        return (
            f"{self.seeds} seeds, {self.settlements} settlements ({ends}), {self.calls} external calls: "
            f"{len(self.violations)} violations; {elapsed_s:.0f} s, {60 * self.seeds / elapsed_s:.0f} seeds a minute"
        )


@asynccontextmanager
async def new_world(**parts: Any) -> AsyncIterator[World]:  # noqa: ANN401 - what `world` takes
    """Create a world with its own server and ledger."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/ledger.db")
        try:
            await migrate(engine)
            async with time_skipping() as environment, world(environment, FaultyLedger(engine), **parts) as made:
                yield made
        finally:
            await engine.dispose()


async def run_seeds(in_world: World, seeds: Sequence[int]) -> RunTotals:
    """Simulate the settlements of several seeds concurrently, and check each."""
    plans = [(seed, plan) for seed in seeds for plan in plans_of(seed)]
    settlements = await in_world.simulate([plan for _, plan in plans], f"S{seeds[0]}-{len(in_world.settlements)}")
    seed_of = {simulated.number: seed for simulated, (seed, _) in zip(settlements, plans, strict=True)}
    found = await in_world.check(settlements)
    ran = RunTotals(
        seeds=len(seeds), settlements=len(settlements), calls=sum(simulated.attempts for simulated in settlements)
    )
    ran.violations = [(seed_of[each.number], each) for each in found]
    ran.ends.update(each.view.state for each in (await in_world.evidence(settlements)).values())
    return ran


def replay_line(seed: int, violation: Violation) -> str:
    """Return the command that reproduces a violation."""
    return f"make simulate SEED={seed}  # {violation}"
