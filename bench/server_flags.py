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

from bench.load import CALLERS, WAIT_S, Load, closed_loop, healthy
from bench.stacks import alternating, connected, running_stack
from config.settings import Settings

ROUNDS, ORDERS = 3, 200
TUNED, DEFAULT = "tuned", "default"


def ratios(loads: dict[str, list[Load]]) -> list[float]:
    """Return the rate of the tuned server divided by that of the default one, for each round."""
    return [tuned.per_s / other.per_s for tuned, other in zip(loads[TUNED], loads[DEFAULT], strict=True)]


def show(loads: dict[str, list[Load]]) -> None:
    """Print one line for each round, and the median of the ratios."""
    print(f"\n{'round':<8}{'tuned/s':>10}{'default/s':>11}{'ratio':>8}{'tuned p50':>12}{'default p50':>13}")
    for number, ratio in enumerate(ratios(loads)):
        tuned, other = loads[TUNED][number], loads[DEFAULT][number]
        waits = f"{tuned.after_ms(0.5):>9.0f} ms{other.after_ms(0.5):>10.0f} ms"
        print(f"{number + 1:<8}{tuned.per_s:>10.1f}{other.per_s:>11.1f}{ratio:>8.2f}{waits}")
    print(f"median of the ratios: {statistics.median(ratios(loads)):.2f}")
    for name, rounds in loads.items():
        print(f"  decided, {name}: {[len(each.decided) for each in rounds]}")


async def measure(sessions: dict[str, aiohttp.ClientSession], options: argparse.Namespace) -> dict[str, list[Load]]:
    """Settle the orders of every round on both stacks; the first, shorter round is not counted."""
    loads: dict[str, list[Load]] = {name: [] for name in sessions}
    for session in sessions.values():
        await closed_loop(session, healthy("WARM", CALLERS), CALLERS)
    for number, name in alternating(list(sessions), options.rounds):
        orders = healthy(f"ROUND-{number}", options.orders)
        loads[name].append(await closed_loop(sessions[name], orders, CALLERS))
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
