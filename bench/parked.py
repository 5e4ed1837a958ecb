"""Measures what parked ABORTED settlements cost running ones: `python -m bench.parked`.

An ABORTED settlement waits for an operator, and its workflow stays open. Two stacks run at the same time: many
settlements are parked on one of them, none on the other one. Then many callers settle orders on each of them in turn,
so that a busy machine affects both. The memory of the parts is measured before and after parking.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import aiohttp

from bench.costs import resident_mib
from bench.load import CALLERS, WAIT_S, Load, Order, closed_loop, healthy
from bench.past_settlements import COMPANIES
from bench.stacks import alternating, connected, running_stack
from config.settings import Settings
from stack.parts import Stack
from tests.support.polling import until

PARKED, ROUNDS, ORDERS = 2_000, 3, 200
PARK_ATTEMPTS, COMPENSATION_LIMIT_S = 5, 60
FAILING = '{"simulate":{"adjust":"http_500","cancel":"fail"}}'


def with_one_attempt(state_dir: Path, **fields: int) -> Settings:
    """Return settings with which the first failed cancel leads to ABORTED."""
    return Settings.model_validate(
        {"state_dir": state_dir, "expire_after_s": WAIT_S, "cancel_max_attempts": 1, **fields}
    )


async def park(session: aiohttp.ClientSession, count: int) -> Counter[str | None]:
    """Post orders of several companies until `count` settlements are ABORTED; return how often each decision occurred.

    It needs `with_one_attempt`. On a busy machine some orders are not ABORTED, and others replace them. Raises
    RuntimeError if that happens again and again.
    """
    decisions: Counter[str | None] = Counter()
    for _ in range(PARK_ATTEMPTS):
        missing = count - await count_in_doubt(session, "ABORTED")
        if missing <= 0:
            return decisions
        first = decisions.total()
        numbers = range(first, first + missing)
        orders = [Order(f"PARKED-{index}", FAILING, 1 + index % COMPANIES) for index in numbers]
        load = await closed_loop(session, orders, CALLERS)
        decisions += Counter(each.decision for each in load.answers)
        await until(partial(is_compensated, session), limit_s=COMPENSATION_LIMIT_S)
    raise RuntimeError(f"not {count} settlements are ABORTED; decisions {dict(decisions)}")


async def is_compensated(session: aiohttp.ClientSession) -> bool:
    """Return whether no compensation is running."""
    return await count_in_doubt(session, "CANCELLING") == 0


async def count_in_doubt(session: aiohttp.ClientSession, state: str) -> int:
    """Return the number of settlements in doubt in a state."""
    async with session.get("/v1/exposure") as response:
        response.raise_for_status()
        lines = (await response.json())["lines"]
    return sum(each["count"] for each in lines if each["state"] == state)


def memory(stack: Stack) -> dict[str, float]:
    """Return the resident memory of worker, API and Temporal in MiB."""
    return {part.name: resident_mib([part.pid]) for part in (stack.worker, stack.api, stack.temporal)}


async def settled(session: aiohttp.ClientSession, name: str, orders: int) -> Load:
    """Settle orders at once."""
    return await closed_loop(session, healthy(name, orders), CALLERS)


def show(empty: Sequence[Load], parked: Sequence[Load], count: int) -> None:
    """Print rate and wait of each round without and with parked settlements, and the medians of the ratios."""
    print(f"\n{'round':<8}{'0 parked/s':>12}{f'{count:,} parked/s':>18}{'ratio':>8}{'p50':>10}{'p50':>10}{'ratio':>8}")
    rates, waits = [], []
    for number, (without, beside) in enumerate(zip(empty, parked, strict=True), 1):
        rates.append(beside.per_s / without.per_s)
        waits.append(beside.after_ms(0.5) / without.after_ms(0.5))
        rate = f"{without.per_s:>12.1f}{beside.per_s:>18.1f}{rates[-1]:>8.2f}"
        print(f"{number:<8}{rate}{without.after_ms(0.5):>7.0f} ms{beside.after_ms(0.5):>7.0f} ms{waits[-1]:>8.2f}")
    print(f"median of the ratios: rate {statistics.median(rates):.2f}, p50 {statistics.median(waits):.2f}")


def show_memory(before: Mapping[str, float], after: Mapping[str, float], count: int) -> None:
    """Print the memory of each part before and after parking."""
    print(f"\n{'RSS, MiB':<12}{'before':>10}{'after':>10}{'KiB per parked settlement':>28}")
    for name, mib in before.items():
        print(f"{name:<12}{mib:>10.0f}{after[name]:>10.0f}{1024 * (after[name] - mib) / count:>28.1f}")


async def main(options: argparse.Namespace) -> None:
    """Start both stacks, park, measure, and stop them."""
    async with AsyncExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="settlement-bench-")))
        stacks = [
            await parts.enter_async_context(running_stack(with_one_attempt(folder / name)))
            for name in ("empty", "parked")
        ]
        empty, parked = [await parts.enter_async_context(connected(stack)) for stack in stacks]
        for session in (empty, parked):
            await settled(session, "WARM", options.orders)
        before = memory(stacks[1])
        started = time.monotonic()
        decisions = dict(await park(parked, options.parked))
        seconds = time.monotonic() - started
        print(f"{options.parked:,} ABORTED after {seconds:.0f} s, decisions {decisions}", flush=True)
        after = memory(stacks[1])
        loads: dict[aiohttp.ClientSession, list[Load]] = {empty: [], parked: []}
        for number, session in alternating([empty, parked], options.rounds):
            loads[session].append(await settled(session, f"ROUND-{number}", options.orders))
        show(loads[empty], loads[parked], options.parked)
        show_memory(before, after, options.parked)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.parked", description=__doc__)
    parser.add_argument("--parked", type=int, default=PARKED, help="number of ABORTED settlements")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--orders", type=int, default=ORDERS, help="orders of each round on each stack")
    return parser.parse_args(argv)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
