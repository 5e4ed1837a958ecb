"""Run seeds, several side by side, and say of each what it came to."""

import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from ledger import open_engine
from ledger.migrate import migrate
from settlement.states import State
from tests.simulation.broken import Violation
from tests.simulation.life import PlannedLedger
from tests.simulation.seeds import plans_of
from tests.simulation.workers import world
from tests.simulation.world import World
from tests.support.sagas import time_skipping

SEEDS_AT_ONCE = 12


@dataclass
class Ran:
    """What seeds came to."""

    seeds: int = 0
    settlements: int = 0
    calls: int = 0
    """Attempts at external calls."""
    ends: Counter[State] = field(default_factory=Counter)
    violations: list[tuple[int, Violation]] = field(default_factory=list)
    """By seed."""

    def add(self, other: "Ran") -> None:
        """Take another run into this one."""
        self.seeds += other.seeds
        self.settlements += other.settlements
        self.calls += other.calls
        self.ends.update(other.ends)
        self.violations += other.violations

    def in_words(self, elapsed_s: float) -> str:
        """Sum it up in one line."""
        ends = ", ".join(f"{count} {state}" for state, count in sorted(self.ends.items()))
        return (
            f"{self.seeds} seeds, {self.settlements} settlements ({ends}), {self.calls} external calls: "
            f"{len(self.violations)} violations; {elapsed_s:.0f} s, {60 * self.seeds / elapsed_s:.0f} seeds a minute"
        )


@asynccontextmanager
async def new_world(**parts: Any) -> AsyncIterator[World]:  # noqa: ANN401 - what `world` takes
    """Make a world with a server and a ledger of its own."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/ledger.db")
        try:
            await migrate(engine)
            async with time_skipping() as environment, world(environment, PlannedLedger(engine), **parts) as made:
                yield made
        finally:
            await engine.dispose()


async def run_seeds(in_world: World, seeds: Sequence[int]) -> Ran:
    """Let the settlements of several seeds live side by side, and judge each."""
    plans = [(seed, plan) for seed in seeds for plan in plans_of(seed)]
    lives = await in_world.live([plan for _, plan in plans], f"S{seeds[0]}-{len(in_world.lives)}")
    seed_of = {life.number: seed for life, (seed, _) in zip(lives, plans, strict=True)}
    found = await in_world.judge(lives)
    ran = Ran(seeds=len(seeds), settlements=len(lives), calls=sum(life.attempts for life in lives))
    ran.violations = [(seed_of[each.number], each) for each in found]
    ran.ends.update(each.story.state for each in (await in_world.evidence(lives)).values())
    return ran


def replay_line(seed: int, violation: Violation) -> str:
    """Return the line that shows a violation again."""
    return f"make simulate SEED={seed}  # {violation}"
