"""How exactly the 3 seconds are kept while every adjust hangs: `python -m bench.hanging`.

Drives hanging adjusts at a steady rate and then all at once, and reads from the simulator's journal when
each adjust came in, when its connection ended, and when its cancel came in.
"""

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from config.settings import Settings
from stack.parts import Stack
from stack.ports import with_free_ports

RATE_PER_S, DURATION_S, BURST = 8, 10, 100
WAIT_S = 15
QUIET_LIMIT_S = 120
HANGING = '{"simulate":{"adjust":"hang_applied"}}'


@dataclass(frozen=True)
class Gap:
    """One settlement as the external system saw it, in seconds."""

    held_s: float
    """From the adjust's arrival to the end of its connection."""
    cancel_after_s: float
    """From the adjust's arrival to its cancel's."""


def order(number: str) -> dict[str, str | int]:
    """Return an order whose adjust is applied and never answered."""
    return {
        "thirdServerCode": "bench",
        "userName": "bench",
        "currency": "USD",
        "bizType": 1,
        "operationType": "OPEN_POSITION",
        "amount": "1.00",
        "amountDigits": 2,
        "orderId": 1,
        "requestUniqueNo": number,
        "requestTime": time.time_ns() // 1_000_000,
        "ip": "192.0.2.1",
        "metadata": HANGING,
    }


async def post(session: aiohttp.ClientSession, number: str) -> tuple[dict[str, Any], float]:
    """Post one order and return its answer with the seconds it took."""
    started = time.monotonic()
    async with session.post("/v1/settlements", json=order(number), headers={"Prefer": f"wait={WAIT_S}"}) as response:
        return await response.json(), time.monotonic() - started


async def gaps(stack: Stack, numbers: list[str]) -> list[Gap]:
    """Read the external system's view of settlements, as far as their adjust reached it."""
    async with aiohttp.ClientSession(stack.external_url) as session:
        found = [await _gap(session, number) for number in numbers]
    return [gap for gap in found if gap is not None]


async def _gap(session: aiohttp.ClientSession, number: str) -> Gap | None:
    async with session.get("/simulator/calls", params={"number": number}) as response:
        calls = (await response.json())["calls"]
    adjusts = [call for call in calls if call["operation"] == "ADJUST"]
    cancels = [call for call in calls if call["operation"] == "CANCEL_ADJUST"]
    if not adjusts:
        return None
    arrived = adjusts[0]["receivedAtNs"]
    return Gap((adjusts[0]["endedAtNs"] - arrived) / 1e9, (cancels[0]["receivedAtNs"] - arrived) / 1e9)


async def until_consistent(stack: Stack, numbers: list[str]) -> list[str]:
    """Wait until no settlement is under way any more and return their end states."""
    async with aiohttp.ClientSession(stack.api_url) as session, asyncio.timeout(QUIET_LIMIT_S):
        return [await _end_state(session, number) for number in numbers]


async def _end_state(session: aiohttp.ClientSession, number: str) -> str:
    while True:
        async with session.get(f"/v1/settlements/{number}") as response:
            state: str = (await response.json())["state"]
        if state not in {"ADJUSTING", "CANCELLING"}:
            return state
        await asyncio.sleep(0.1)


def report(title: str, answers: list[tuple[dict[str, Any], float]], seen: list[Gap], states: list[str]) -> None:
    """Print one scenario."""
    print(f"\n{title}: {len(answers)} settlements, {len(seen)} reached the external system")
    for name, values in (
        ("held by us until", [gap.held_s for gap in seen]),
        ("cancel arrived after", [gap.cancel_after_s for gap in seen]),
        ("cancel after end of call", [gap.cancel_after_s - gap.held_s for gap in seen]),
        ("caller answered after", [seconds for _, seconds in answers]),
    ):
        ordered = sorted(values)
        p95 = ordered[int(0.95 * (len(ordered) - 1))]
        middle = statistics.median(ordered)
        print(f"  {name:<26} min {ordered[0]:7.3f}  p50 {middle:7.3f}  p95 {p95:7.3f}  max {ordered[-1]:7.3f} s")
    decisions = [str(answer.get("decision")) for answer, _ in answers]
    print(f"  decisions {counts(decisions)}, end states {counts(states)}")


def counts(values: list[str]) -> dict[str, int]:
    """Count equal values."""
    return {value: values.count(value) for value in sorted(set(values))}


async def steady(session: aiohttp.ClientSession) -> list[tuple[dict[str, Any], float]]:
    """Post at a steady rate, whatever the answers take."""
    tasks = []
    for index in range(RATE_PER_S * DURATION_S):
        tasks.append(asyncio.create_task(post(session, f"STEADY-{index}")))
        await asyncio.sleep(1 / RATE_PER_S)
    return await asyncio.gather(*tasks)


async def main() -> None:
    """Start a stack of its own, measure, stop it."""
    with tempfile.TemporaryDirectory(prefix="settlement-bench-") as state_dir:
        settings = Settings(state_dir=Path(state_dir), confirm_after_s=2)
        stack = Stack(with_free_ports(settings))
        await stack.start()
        try:
            await measure(stack)
        finally:
            await stack.stop()


async def measure(stack: Stack) -> None:
    """Run both scenarios."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(stack.api_url, connector=connector) as session:
        answers = await steady(session)
        numbers = [answer["requestUniqueNo"] for answer, _ in answers]
        states = await until_consistent(stack, numbers)
        report(f"{RATE_PER_S} a second for {DURATION_S} s", answers, await gaps(stack, numbers), states)
        burst = [f"BURST-{index}" for index in range(BURST)]
        answers = await asyncio.gather(*(post(session, number) for number in burst))
        states = await until_consistent(stack, burst)
        report(f"{BURST} at the same moment", answers, await gaps(stack, burst), states)


if __name__ == "__main__":
    asyncio.run(main())
