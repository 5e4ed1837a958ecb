"""`make simulate`: runs many seeds with a progress bar, or one seed with all details.

Exit status 0: no violation; 1: violations, each printed with the command that replays it; 130: interrupted.
"""

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from tests.simulation.run import SEEDS_AT_ONCE, RunTotals, new_world, replay_line, run_seeds
from tests.simulation.seeds import plans_of
from tests.simulation.violation import Violation
from tests.simulation.world import World
from tests.support.processes import children

CONSOLE = Console()
BATCHES_PER_WORLD = 10
"""After this number of batches a new server and ledger are started: the server keeps everything in memory."""


async def run_many(seeds: range, at_once: int, total: RunTotals) -> None:
    """Run all seeds, several concurrently, and add up their results."""
    batches = [seeds[n : n + at_once] for n in range(0, len(seeds), at_once)]
    columns = (
        TextColumn("seeds"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[found]}"),
    )
    with Progress(*columns, console=CONSOLE) as progress:
        task = progress.add_task("seeds", total=len(seeds), found="")
        for n in range(0, len(batches), BATCHES_PER_WORLD):
            async with new_world(sandboxed=False) as world:
                for batch in batches[n : n + BATCHES_PER_WORLD]:
                    ran = await run_seeds(world, batch)
                    total.add(ran)
                    for seed, violation in ran.violations:
                        progress.console.print(replay_line(seed, violation), markup=False, soft_wrap=True)
                    progress.update(task, advance=len(batch), found=f"{len(total.violations)} violations")
                _show_sum(await world.check_sum(), total)


async def run_one(seed: int, total: RunTotals) -> None:
    """Run one seed and print the history of each of its settlements."""
    async with new_world(sandboxed=False) as world:
        ran = await run_seeds(world, [seed])
        total.add(ran)
        await _print_settlements(world, seed)
        _show_sum(await world.check_sum(), total)
    for _, violation in ran.violations:
        CONSOLE.print(str(violation), markup=False, soft_wrap=True)


def _show_sum(found: list[Violation], into: RunTotals) -> None:
    for violation in found:
        CONSOLE.print(str(violation), markup=False, soft_wrap=True)
        into.violations.append((0, violation))


async def _print_settlements(world: World, seed: int) -> None:
    settlements = sorted(world.settlements.values(), key=lambda simulated: int(simulated.number.rpartition("-")[2]))
    every = await world.evidence(settlements)
    for n, (simulated, plan) in enumerate(zip(settlements, plans_of(seed), strict=True)):
        evidence = every[simulated.number]
        view = evidence.view
        calls = ", ".join(f"{call.kind or 'ADJUST'} {call.verdict.rule}" for call in view.calls)
        CONSOLE.print(f"{n:3} {plan.in_words()}", highlight=False, soft_wrap=True)
        end = f"{view.state} {view.cancel_result or ''}".rstrip()
        CONSOLE.print(f"    → {end}; books {evidence.books.state}; {calls}", highlight=False, soft_wrap=True)


def end_at_once_when_interrupted(folder: Path, sum_up: Callable[[], None]) -> None:
    """On SIGINT kill the server, remove `folder` with all its files, print the summary, and exit.

    A normal shutdown would wait for the server, which has also received the Ctrl-C and no longer responds.
    """

    def end(_: int, __: FrameType | None) -> None:
        for child in children(os.getpid()):
            os.kill(child, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        CONSOLE.show_cursor(show=True)
        CONSOLE.print("\ninterrupted; so far:")
        sum_up()
        sys.stdout.flush()
        os._exit(130)

    signal.signal(signal.SIGINT, end)


def main() -> int:
    """Parse the command line, run, and print the summary."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run only this seed and print all details")
    parser.add_argument("--seeds", type=int, default=100, help="number of seeds (default 100)")
    parser.add_argument("--first", type=int, default=1, help="first seed (default 1)")
    parser.add_argument(
        "--at-once", type=int, default=SEEDS_AT_ONCE, help=f"seeds that run concurrently (default {SEEDS_AT_ONCE})"
    )
    chosen = parser.parse_args()
    # The activities log every injected fault; that output is not needed here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    errors = LoggingConfig(filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"))
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=errors)))
    started, total = time.monotonic(), RunTotals()

    def sum_up() -> None:
        CONSOLE.print(total.in_words(time.monotonic() - started), highlight=False, soft_wrap=True)

    with tempfile.TemporaryDirectory(prefix="simulation-") as folder:
        tempfile.tempdir = folder
        end_at_once_when_interrupted(Path(folder), sum_up)
        seeds = range(chosen.first, chosen.first + chosen.seeds)
        asyncio.run(run_many(seeds, chosen.at_once, total) if chosen.seed is None else run_one(chosen.seed, total))
    sum_up()
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
