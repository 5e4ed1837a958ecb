"""Measures two workers and two APIs against one of each, on PostgreSQL: `python -m bench.replicas`.

Two installations run at the same time, each with its own Temporal server and PostgreSQL. Many callers settle orders on
each of them in turn, so that a busy machine affects both. On a machine with free cores the second pair adds throughput.
On two cores, where the Temporal server is the limit, it shows what the second pair costs.
"""

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from bench.load import CALLERS, WAIT_S, closed_loop, healthy
from bench.stacks import alternating, connected, running_stack
from bench.systems import LEDGER_DATABASE
from config.settings import Settings
from stack.parts import Stack
from stack.ports import free_port
from tests.support.postgres import running_postgres

ROUNDS, ORDERS = 3, 200
ONE, TWO = "one each", "two each"
_Sessions = list[aiohttp.ClientSession]
"""One session with each API of an installation."""


@asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[Stack]:
    """Run a stack on a new PostgreSQL for the length of the block."""
    async with AsyncExitStack() as parts:
        postgres = await asyncio.to_thread(parts.enter_context, running_postgres())
        url = postgres.create_database(LEDGER_DATABASE)
        settings = Settings(state_dir=folder, database_url=SecretStr(url), expire_after_s=WAIT_S)
        yield await parts.enter_async_context(running_stack(settings))


@asynccontextmanager
async def second_pair(first: Stack, folder: Path) -> AsyncIterator[Stack]:
    """Run one more worker and one more API on Temporal, ledger and simulator of a running stack."""
    separate = {"state_dir": folder, "api_port": free_port(), "worker_metrics_port": free_port()}
    pair = Stack(first.settings.model_copy(update=separate | {"external_base_url": first.external_url}))
    await pair.start(pair.ours)
    try:
        yield pair
    finally:
        await pair.stop()


async def settled_per_s(sessions: _Sessions, name: str, orders: int) -> float:
    """Settle orders by all callers, who share the APIs equally; return the decisions per second."""
    share, callers = orders // len(sessions), CALLERS // len(sessions)
    loads = await asyncio.gather(
        *(closed_loop(session, healthy(f"{name}-{index}", share), callers) for index, session in enumerate(sessions))
    )
    return sum(len(each.decided) for each in loads) / max(each.seconds for each in loads)


async def main(options: argparse.Namespace) -> None:
    """Start both installations, measure, and stop them."""
    async with AsyncExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="settlement-bench-")))
        one, two = [await parts.enter_async_context(installation(folder / name)) for name in ("one", "two")]
        pair = await parts.enter_async_context(second_pair(two, folder / "pair"))
        stacks = {ONE: [one], TWO: [two, pair]}
        sessions = {
            name: [await parts.enter_async_context(connected(each)) for each in of] for name, of in stacks.items()
        }
        for each in sessions.values():
            await settled_per_s(each, "WARM", CALLERS)
        rates: dict[str, list[float]] = {name: [] for name in sessions}
        for number, name in alternating(list(sessions), options.rounds):
            rates[name].append(await settled_per_s(sessions[name], f"ROUND-{number}", options.orders))
            print(f"round {number + 1}, {name}: {rates[name][-1]:.1f} settlements/s", flush=True)
    ratios = [with_two / with_one for with_one, with_two in zip(rates[ONE], rates[TWO], strict=True)]
    print(f"median of the ratios, two each to one each: {statistics.median(ratios):.2f}")


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.replicas", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--orders", type=int, default=ORDERS, help="orders of each round")
    return parser.parse_args(argv)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
