"""Measures whether the memory of worker and API stays bounded: `python -m bench.memory`.

Orders arrive at a steady rate for a long time; one of twenty is rejected and cancelled. The memory of each part is read
at equal intervals. Memory that is kept for each settlement shows as growth per 1,000 settlements in the second half of
the run: caches are full by then.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.load import arrivals, five_percent_bad, open_loop
from bench.parked import memory
from bench.stacks import connected, running_stack
from config.settings import Settings
from stack.parts import Stack

MINUTES, RATE_PER_S, SAMPLES = 60.0, 6.0, 30


@dataclass(frozen=True)
class Sample:
    """The memory of each part in MiB, after a number of settlements."""

    settlements: int
    mib: Mapping[str, float]


def growth_kib(samples: Sequence[Sample], part: str) -> float:
    """Return the growth of a part in KiB per 1,000 settlements in the second half of the samples (least squares)."""
    later = samples[len(samples) // 2 :]
    counts, values = [each.settlements for each in later], [each.mib[part] for each in later]
    mean_count, mean_value = sum(counts) / len(counts), sum(values) / len(values)
    shared = sum((x - mean_count) * (y - mean_value) for x, y in zip(counts, values, strict=True))
    spread = sum((x - mean_count) ** 2 for x in counts)
    return 1024 * 1000 * shared / spread if spread else 0.0


async def measure(stack: Stack, session: aiohttp.ClientSession, options: argparse.Namespace) -> list[Sample]:
    """Post orders at the rate, and return a sample after each interval."""
    seconds = options.minutes * 60 / options.samples
    samples, settled = [Sample(0, memory(stack))], 0
    for number in range(options.samples):
        due = arrivals(options.rate, seconds, seed=number)
        load = await open_loop(session, five_percent_bad(f"MEMORY-{number}", len(due)), due)
        settled += len(load.decided)
        samples.append(Sample(settled, memory(stack)))
        print(line(samples[-1]), flush=True)
    return samples


def line(sample: Sample) -> str:
    """Return a sample as a line."""
    return f"{sample.settlements:>10,}" + "".join(f"  {name} {mib:6.1f}" for name, mib in sample.mib.items())


async def main(options: argparse.Namespace) -> None:
    """Start a stack, measure, and stop it."""
    with tempfile.TemporaryDirectory(prefix="settlement-bench-") as folder:
        async with running_stack(Settings(state_dir=Path(folder))) as stack, connected(stack) as session:
            print(f"{options.rate:g} orders per second for {options.minutes:g} minutes; RSS in MiB", flush=True)
            samples = await measure(stack, session, options)
    for part in samples[0].mib:
        print(f"{part}: {growth_kib(samples, part):+.0f} KiB per 1,000 settlements in the second half")


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--rate", type=float, default=RATE_PER_S, help="orders per second")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    return parser.parse_args(argv)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
