"""Measures what the flags of the embedded Temporal server are worth: `python -m bench.server_flags`.

Two stacks run at the same time, each with its own simulator. One has the flags of `stack.parts`: WAL and the dynamic
configuration. The other one has the defaults of the development server. Many callers settle orders on each of them in
turn, so that a busy machine affects both.
"""

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from bench.callers import CALLERS, WAIT_S, Load, plain_order, settle_at_once
from bench.stacks import alternating, connected, running_stack
from config.settings import Settings

ROUNDS, ORDERS = 3, 200
TUNED, DEFAULT = "tuned", "default"


def ratios(loads: dict[str, list[Load]]) -> list[float]:
    """Return the rate of the tuned server divided by that of the default one, for each round."""
    return [tuned.rate_per_s / other.rate_per_s for tuned, other in zip(loads[TUNED], loads[DEFAULT], strict=True)]


def show(loads: dict[str, list[Load]]) -> None:
    """Print one line for each round, and the median of the ratios."""
    print(f"\n{'round':<8}{'tuned/s':>10}{'default/s':>11}{'ratio':>8}{'tuned p50':>12}{'default p50':>13}")
    for number, ratio in enumerate(ratios(loads)):
        tuned, other = loads[TUNED][number], loads[DEFAULT][number]
        waits = f"{tuned.p50_s:>10.2f} s{other.p50_s:>11.2f} s"
        print(f"{number + 1:<8}{tuned.rate_per_s:>10.1f}{other.rate_per_s:>11.1f}{ratio:>8.2f}{waits}")
    print(f"median of the ratios: {statistics.median(ratios(loads)):.2f}")
    for name, rounds in loads.items():
        print(f"  decisions, {name}: {[dict(each.decisions) for each in rounds]}")


async def measure(sessions: dict[str, aiohttp.ClientSession], options: argparse.Namespace) -> dict[str, list[Load]]:
    """Settle the orders of every round on both stacks; the first, shorter round is not counted."""
    loads: dict[str, list[Load]] = {name: [] for name in sessions}
    for session in sessions.values():
        await settle_at_once(session, (plain_order(f"WARM-{index}") for index in range(CALLERS)))
    for number, name in alternating(list(sessions), options.rounds):
        bodies = (plain_order(f"ROUND-{number}-{index}") for index in range(options.orders))
        loads[name].append(await settle_at_once(sessions[name], bodies))
    return loads


async def main(options: argparse.Namespace) -> None:
    """Start both stacks, measure, and stop them."""
    async with AsyncExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="settlement-bench-")))
        sessions = {}
        for name in (TUNED, DEFAULT):
            settings = Settings(state_dir=folder / name, expire_after_s=WAIT_S)
            stack = await parts.enter_async_context(running_stack(settings, tuned_temporal=name == TUNED))
            sessions[name] = await parts.enter_async_context(connected(stack))
        print(f"{CALLERS} callers, {options.orders} orders per round")
        show(await measure(sessions, options))


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.server_flags", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--orders", type=int, default=ORDERS, help="orders of each round on each stack")
    return parser.parse_args(argv)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
