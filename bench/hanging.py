"""Measures how exactly the 3 seconds are kept while every adjust hangs: `python -m bench.hanging`.

It posts orders whose adjusts hang, first at a steady rate and then all at once. The simulator's journal says when each
adjust arrived, when its connection ended, and when its cancel arrived.
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
FINAL_STATE_LIMIT_S = 120
HANGING = '{"simulate":{"adjust":"hang_applied"}}'


@dataclass(frozen=True)
class BrokerTimes:
    """The times of one settlement in the external system's journal, in seconds."""

    held_s: float
    """From the adjust's arrival to the end of its connection."""
    cancel_after_s: float
    """From the adjust's arrival to the arrival of its cancel."""


def order(number: str) -> dict[str, str | int]:
    """Return an order whose adjust is applied and not answered."""
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
    """Post one order; return its answer and the seconds until the answer."""
    started = time.monotonic()
    async with session.post("/v1/settlements", json=order(number), headers={"Prefer": f"wait={WAIT_S}"}) as response:
        return await response.json(), time.monotonic() - started


async def broker_times(stack: Stack, numbers: list[str]) -> list[BrokerTimes]:
    """Return the times of those settlements whose adjust reached the external system."""
    async with aiohttp.ClientSession(stack.external_url) as session:
        found = [await _broker_times(session, number) for number in numbers]
    return [times for times in found if times is not None]


async def _broker_times(session: aiohttp.ClientSession, number: str) -> BrokerTimes | None:
    async with session.get("/simulator/calls", params={"number": number}) as response:
        calls = (await response.json())["calls"]
    adjusts = [call for call in calls if call["operation"] == "ADJUST"]
    cancels = [call for call in calls if call["operation"] == "CANCEL_ADJUST"]
    if not adjusts:
        return None
    arrived = adjusts[0]["receivedAtNs"]
    return BrokerTimes((adjusts[0]["endedAtNs"] - arrived) / 1e9, (cancels[0]["receivedAtNs"] - arrived) / 1e9)


async def until_consistent(stack: Stack, numbers: list[str]) -> list[str]:
    """Wait until every settlement has reached a final state, and return the states."""
    async with aiohttp.ClientSession(stack.api_url) as session, asyncio.timeout(FINAL_STATE_LIMIT_S):
        return [await _end_state(session, number) for number in numbers]


async def _end_state(session: aiohttp.ClientSession, number: str) -> str:
    while True:
        async with session.get(f"/v1/settlements/{number}") as response:
            state: str = (await response.json())["state"]
        if state not in {"ADJUSTING", "CANCELLING"}:
            return state
        await asyncio.sleep(0.1)


def report(
    title: str, answers: list[tuple[dict[str, Any], float]], reached: list[BrokerTimes], states: list[str]
) -> None:
    """Print the figures of one scenario."""
    print(f"\n{title}: {len(answers)} settlements, {len(reached)} reached the external system")
    for name, values in (
        ("connection held for", [times.held_s for times in reached]),
        ("cancel arrived after", [times.cancel_after_s for times in reached]),
        ("cancel after end of call", [times.cancel_after_s - times.held_s for times in reached]),
        ("caller answered after", [seconds for _, seconds in answers]),
    ):
        ordered = sorted(values)
        p95 = ordered[int(0.95 * (len(ordered) - 1))]
        middle = statistics.median(ordered)
        print(f"  {name:<26} min {ordered[0]:7.3f}  p50 {middle:7.3f}  p95 {p95:7.3f}  max {ordered[-1]:7.3f} s")
    decisions = [str(answer.get("decision")) for answer, _ in answers]
    print(f"  decisions {counts(decisions)}, end states {counts(states)}")


def counts(values: list[str]) -> dict[str, int]:
    """Return how often each value occurs."""
    return {value: values.count(value) for value in sorted(set(values))}


async def steady(session: aiohttp.ClientSession) -> list[tuple[dict[str, Any], float]]:
    """Post orders at a steady rate, without waiting for the answers."""
    tasks = []
    for index in range(RATE_PER_S * DURATION_S):
        tasks.append(asyncio.create_task(post(session, f"STEADY-{index}")))
        await asyncio.sleep(1 / RATE_PER_S)
    return await asyncio.gather(*tasks)


async def main() -> None:
    """Start a separate stack, measure, and stop it."""
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
        report(f"{RATE_PER_S} per second for {DURATION_S} s", answers, await broker_times(stack, numbers), states)
        burst = [f"BURST-{index}" for index in range(BURST)]
        answers = await asyncio.gather(*(post(session, number) for number in burst))
        states = await until_consistent(stack, burst)
        report(f"{BURST} at once", answers, await broker_times(stack, burst), states)


if __name__ == "__main__":
    asyncio.run(main())
