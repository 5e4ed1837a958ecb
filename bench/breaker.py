"""Measures what a system that hangs costs another one, and how fast its orders are void: `python -m bench.breaker`.

Three simulators are the external systems of one installation. Orders of the healthy one are settled one after the
other: alone, while another one that answers gets orders at a steady rate (quiet), and while one that hangs gets the
same orders. These rounds alternate, so that a busy machine affects all of them. With a circuit breaker, then without.
"""

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import aiohttp

from bench.hanging import order
from bench.load import percentile
from config.settings import Settings
from stack.parts import Stack, running_simulator
from stack.ports import with_free_ports

HEALTHY, ANSWERING, HANGING = 1, 2, 3
"""The companies, each with its own external system."""
ROUNDS, ORDERS, RATE_PER_S, WAIT_S = 3, 50, 2, 30
BREAKER = "[systems.hanging.breaker]\nunknowns = 10\nopen_s = 30\ncancels_per_min = 6\n"


class Answer(NamedTuple):
    """The answer to one order."""

    after_s: float
    """From the POST to its answer."""
    decided_s: float
    """From the acceptance of the order to its decision, on the clocks of the service."""
    rule: str
    """The decision, and the rule of the adjust."""


Answered = list[Answer]


async def settle(session: aiohttp.ClientSession, company_id: int, number: str) -> Answer:
    """Settle one order."""
    body = order(number)
    del body["metadata"]
    headers = {"Prefer": f"wait={WAIT_S}", "companyId": str(company_id)}
    started = time.monotonic()
    async with session.post("/v1/settlements", json=body, headers=headers) as response:
        answer = await response.json()
    after_s = time.monotonic() - started
    accepted, decided = (datetime.fromisoformat(answer[each]) for each in ("acceptedAt", "decidedAt"))
    rule = f"{answer['decision']} {answer['calls'][0]['verdict']['rule']}"
    return Answer(after_s, (decided - accepted).total_seconds(), rule)


async def one_by_one(session: aiohttp.ClientSession, company_id: int, name: str) -> Answered:
    """Settle `ORDERS` orders, one after the other."""
    return [await settle(session, company_id, f"{name}-{index}") for index in range(ORDERS)]


@asynccontextmanager
async def steady_orders(session: aiohttp.ClientSession, company_id: int, name: str) -> AsyncIterator[Answered]:
    """Post orders of a company at a steady rate for the length of the block."""
    answered: Answered = []

    async def post(index: int) -> None:
        answered.append(await settle(session, company_id, f"{name}-{index}"))

    async def posting(group: asyncio.TaskGroup) -> None:
        for index in range(1_000_000):
            group.create_task(post(index))
            await asyncio.sleep(1 / RATE_PER_S)

    async with asyncio.TaskGroup() as group:
        posted = group.create_task(posting(group))
        try:
            yield answered
        finally:
            posted.cancel()


async def until_open(session: aiohttp.ClientSession) -> None:
    """Post orders at once until one is refused by the breaker."""
    for attempt in range(10):
        answers = await asyncio.gather(*(settle(session, HANGING, f"OPEN-{attempt}-{n}") for n in range(10)))
        if any("BREAKER_OPEN" in each.rule for each in answers):
            return
    message = "the breaker does not open"
    raise RuntimeError(message)


def show(title: str, answered: Answered) -> tuple[float, float]:
    """Print the figures of some orders; return median and 99th percentile in seconds."""
    answers, decisions = [each.after_s for each in answered], [each.decided_s for each in answered]
    middle, p99 = statistics.median(answers), percentile(answers, 0.99)
    decided = f"p50 {1000 * statistics.median(decisions):5.0f}  p99 {1000 * percentile(decisions, 0.99):5.0f}"
    counts = dict(Counter(each.rule for each in answered))
    print(f"  {title:<17} answer p50 {1000 * middle:5.0f}  p99 {1000 * p99:5.0f}  decision {decided} ms  {counts}")
    return middle, p99


async def measure(folder: Path, breaker: str) -> None:
    """Start a separate stack, measure the rounds in turn, and stop it."""
    async with AsyncExitStack() as parts:
        names = ("healthy", "answering", "hanging")
        urls = [await parts.enter_async_context(running_simulator(folder, each)) for each in names]
        entries = [
            f'[systems.{name}]\ncompanies = [{company_id}]\nbase_url = "{url}"\n'
            for company_id, (name, url) in enumerate(zip(names, urls, strict=True), HEALTHY)
        ]
        (file := folder / "systems.toml").write_text("".join(entries) + breaker)
        stack = Stack(with_free_ports(Settings(state_dir=folder / "state", external_systems=file)))
        parts.push_async_callback(stack.stop)
        await stack.start()
        connections = aiohttp.TCPConnector(limit=0)
        session = await parts.enter_async_context(aiohttp.ClientSession(stack.api_url, connector=connections))
        async with session.put(f"{urls[-1]}/simulator/outage", json={"mode": "hang"}) as response:
            response.raise_for_status()
        await one_by_one(session, HEALTHY, "WARM")
        await measure_rounds(session, has_breaker=bool(breaker))


async def measure_rounds(session: aiohttp.ClientSession, *, has_breaker: bool) -> None:
    """Measure the rounds, and print the figures."""
    if has_breaker:
        await until_open(session)
    alone: Answered = []
    void: Answered = []
    healthy: dict[int, Answered] = {ANSWERING: [], HANGING: []}
    steady: dict[int, Answered] = {ANSWERING: [], HANGING: []}
    for number in range(ROUNDS):
        alone += await one_by_one(session, HEALTHY, f"ALONE-{number}")
        for other in (ANSWERING, HANGING):
            async with steady_orders(session, other, f"STEADY-{other}-{number}") as answered:
                healthy[other] += await one_by_one(session, HEALTHY, f"BESIDE-{other}-{number}")
            steady[other] += answered
        if has_breaker:
            void += await one_by_one(session, HANGING, f"VOID-{number}")
    show("healthy, alone", alone)
    quiet, loaded = (
        show(f"healthy, {name}", healthy[other]) for other, name in ((ANSWERING, "quiet"), (HANGING, "loaded"))
    )
    show("answering", steady[ANSWERING])
    show("hanging", steady[HANGING])
    if has_breaker:
        show("hanging, alone", [each for each in void if "BREAKER_OPEN" in each.rule])
    print(f"  ratio of healthy, loaded to quiet: p50 {loaded[0] / quiet[0]:.2f}, p99 {loaded[1] / quiet[1]:.2f}")


async def main() -> None:
    """Measure with and without a circuit breaker."""
    for title, breaker in (("with a circuit breaker", BREAKER), ("without a circuit breaker", "")):
        print(f"\n{title}: {RATE_PER_S} orders per second of the system that hangs", flush=True)
        with tempfile.TemporaryDirectory(prefix="settlement-bench-") as folder:
            await measure(Path(folder), breaker)


if __name__ == "__main__":
    asyncio.run(main())
