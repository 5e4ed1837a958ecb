"""Measures a storm of adjusts that hang: `python -m bench.storm`.

It measures the saturation rate with healthy orders in a closed loop. Then, for a while, orders of one company arrive at
half of that rate (`--share`) and their adjusts hang, while another company sends healthy orders at a low rate. At last,
many orders whose adjusts hang are posted at the same moment. The broker's clock says when each adjust arrived, when its
connection was cut off, and when its cancel arrived.

The 3 seconds of the contract run from our send, and the broker notes the arrival when it handles the request. So on a
busy machine a call can seem to be cut off some milliseconds before 3.000 s; `min` says how many.
"""

import argparse
import asyncio
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.broker import Seen
from bench.hanging import counts
from bench.load import CALLERS, Load, Order, arrivals, closed_loop, hanging, healthy, open_loop, percentile
from bench.systems import Measured, ours
from settlement.limits import ADJUST_DEADLINE_S
from settlement.states import State

WARM_UP = 40
STORMY, CALM = 1, 2
"""The companies. `load` posts as company 1 unless told otherwise."""
CONSISTENT = {State.SETTLED, State.CANCELLED, State.EXPIRED}
SETTINGS = {
    # The default: an order that waits longer is void without a call.
    "expire_after_s": 10,
    "confirm_after_s": 2,
    # Enough for the storm: what is measured is the 3 seconds, not how soon a limit refuses an order.
    "worker_slots": 2000,
    "waits_per_client": 5000,
    "requests_per_client_per_s": 10_000,
    "api_connections_max": 5000,
    "api_connections_per_client": 5000,
}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description="What a storm of hanging adjusts costs.")
    parser.add_argument("--orders", type=int, default=300, help="healthy orders for the saturation rate; default 300")
    parser.add_argument("--share", type=float, default=0.5, help="hanging orders per second / saturation; default 0.5")
    parser.add_argument("--seconds", type=float, default=30, help="length of the storm; default 30")
    parser.add_argument("--calm-per-s", type=float, default=2, help="healthy orders meanwhile; default 2 per second")
    parser.add_argument("--burst", type=int, default=1000, help="hanging orders at the same moment; default 1000")
    return parser.parse_args()


class Storm:
    """The scenarios on one running system."""

    def __init__(self, system: Measured, chosen: argparse.Namespace) -> None:
        self._system = system
        self._chosen = chosen
        self._accepted = 0

    async def run(self) -> None:
        """Run all scenarios, and print their figures."""
        await self._ended(await closed_loop(self._system.http, healthy("WARM", WARM_UP), CALLERS))
        saturated = await closed_loop(self._system.http, healthy("FULL", self._chosen.orders), CALLERS)
        await self._ended(saturated)
        print(f"saturation: {saturated.per_s:.1f} settlements/s with {CALLERS} callers", flush=True)
        quiet = await self._calm("QUIET")
        await self._ended(quiet)
        await self._steady(saturated.per_s * self._chosen.share, quiet)
        await self._burst()

    async def _calm(self, name: str) -> Load:
        due = arrivals(self._chosen.calm_per_s, self._chosen.seconds, seed=CALM)
        return await open_loop(self._system.http, healthy(name, len(due), CALM), due)

    async def _steady(self, rate_per_s: float, quiet: Load) -> None:
        due = arrivals(rate_per_s, self._chosen.seconds, seed=STORMY)
        orders = hanging("STEADY", len(due))
        stormy, meanwhile = await asyncio.gather(open_loop(self._system.http, orders, due), self._calm("MEANWHILE"))
        await self._ended(stormy, meanwhile)
        await self._report(f"{rate_per_s:.1f} per second for {self._chosen.seconds:g} s", orders, stormy)
        for name, load in (("quiet", quiet), ("meanwhile", meanwhile)):
            decisions = counts([str(each.decision) for each in load.answers])
            shown = f"p50 {load.after_ms(0.5):6.0f}  p99 {load.after_ms(0.99):6.0f} ms"
            print(f"  healthy orders, {name:<9}    {shown}  {decisions}")
        print(f"  ratio of meanwhile to quiet: p99 {meanwhile.after_ms(0.99) / quiet.after_ms(0.99):.2f}", flush=True)

    async def _burst(self) -> None:
        orders = hanging("BURST", self._chosen.burst)
        started = time.monotonic()
        load = await open_loop(self._system.http, orders, [0.0] * len(orders))
        await self._ended(load)
        drained_s = time.monotonic() - started
        await self._report(f"{len(orders)} at the same moment", orders, load)
        print(f"  drained after {drained_s:.1f} s", flush=True)

    async def _ended(self, *loads: Load) -> None:
        """Wait until the workflows of all accepted orders have completed."""
        self._accepted += sum(len(each.accepted) for each in loads)
        completed = await self._system.drained(self._accepted)
        if completed < self._accepted:
            print(f"  {self._accepted - completed} settlements have not ended", flush=True)

    async def _report(self, title: str, orders: Sequence[Order], load: Load) -> None:
        numbers = {each.number for each in orders}
        seen = {number: each for number, each in (await self._system.broker.seen()).items() if number in numbers}
        states = [await self._state(number) for number in load.accepted]
        for line in report(title, load, list(seen.values()), states):
            print(line)

    async def _state(self, number: str) -> str:
        async with self._system.http.get(f"/v1/settlements/{number}") as response:
            return str((await response.json())["state"])


def report(title: str, load: Load, seen: Sequence[Seen], states: Sequence[str]) -> list[str]:
    """Return the lines on the orders whose adjusts hang: `seen` by the broker, and the states in which they ended."""
    reached = [each for each in seen if each.adjusts_ns]
    held = [each.held_s for each in reached if each.held_s is not None]
    cancelled = [each.cancel_after_s for each in reached if each.cancel_after_s is not None]
    early = sum(each < ADJUST_DEADLINE_S for each in held)
    open_ends = len(reached) - len(cancelled) + sum(state not in CONSISTENT for state in states)
    repeated = sum(len(each.adjusts_ns) > 1 for each in reached)
    decisions = counts([str(each.decision) for each in load.answers])
    decided = [each.after_s for each in load.decided]
    return [
        f"\n{title}: {len(load.answers)} orders hang, {len(reached)} reached the broker",
        _spread("cancel after adjust", cancelled),
        _spread("connection held", held),
        _spread("caller has the decision", decided),
        f"  cut off before {ADJUST_DEADLINE_S:.3f} s: {early}; sent twice: {repeated}; not consistent: {open_ends}",
        f"  decisions {decisions}, end states {counts(list(states))}",
    ]


def _spread(name: str, values: Sequence[float]) -> str:
    if not values:
        return f"  {name:<26} none"
    figures = f"min {min(values):7.3f}  p50 {statistics.median(values):7.3f}  p99 {percentile(values, 0.99):7.3f}"
    return f"  {name:<26} {figures}  max {max(values):7.3f} s"


async def main() -> None:
    """Start a separate stack, measure, and stop it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if soft != resource.RLIM_INFINITY else soft, hard))
    with tempfile.TemporaryDirectory(prefix="settlement-bench-") as folder:
        async with ours(Path(folder), **SETTINGS) as system:
            await Storm(system, arguments()).run()


if __name__ == "__main__":
    asyncio.run(main())
