"""Measures what a client at its quota costs another client: `python -m bench.quota`.

The greedy client keeps many requests in flight and ignores every 429. The other client posts orders one after the other
and waits for each decision. The figures are the times until its decisions, without and with the greedy client, in the
same run: once with a quota, and once without one to show what the quota is for.
"""

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from api.first_key import first_key
from bench.hanging import order
from config.settings import Settings
from stack.parts import Stack
from stack.ports import with_free_ports

QUOTA_PER_S, NO_QUOTA_PER_S = 20, 100_000
AT_ONCE, ORDERS, WAIT_S = 20, 60, 30
GREEDY, OTHER = 1, 2
EXPENSIVE = "/v1/settlements?limit=50"


async def create_key(session: aiohttp.ClientSession, admin: str, company_id: int) -> dict[str, str]:
    """Create the key of a platform with one company; return its header."""
    body = {"client": f"shop-{company_id}", "role": "platform", "companies": [company_id]}
    async with session.post("/v1/api-keys", json=body, headers={"Authorization": f"Bearer {admin}"}) as response:
        response.raise_for_status()
        return {"Authorization": f"Bearer {(await response.json())['apiKey']}"}


@asynccontextmanager
async def greedy_client(session: aiohttp.ClientSession, key: dict[str, str]) -> AsyncIterator[Counter[int]]:
    """Keep `AT_ONCE` requests in flight for the length of the block; yield the number of answers by status."""
    statuses: Counter[int] = Counter()
    stopped = asyncio.Event()

    async def one_by_one() -> None:
        while not stopped.is_set():
            async with session.get(EXPENSIVE, headers=key) as response:
                await response.read()
                statuses[response.status] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_by_one())
        try:
            yield statuses
        finally:
            stopped.set()


async def settle(
    session: aiohttp.ClientSession, key: dict[str, str], company_id: int, name: str
) -> tuple[float, float]:
    """Settle orders one after the other; return median and 95th percentile of the times until the decision, in s."""
    headers = {**key, "Prefer": f"wait={WAIT_S}", "companyId": str(company_id)}
    seconds, answers = [], Counter[str]()
    for index in range(ORDERS):
        body = order(f"{name}-{company_id}-{index}")
        del body["metadata"]
        started = time.monotonic()
        async with session.post("/v1/settlements", json=body, headers=headers) as response:
            answers[f"{response.status} {(await response.json()).get('decision')}"] += 1
        seconds.append(time.monotonic() - started)
    seconds.sort()
    middle, p95 = statistics.median(seconds), seconds[int(0.95 * (ORDERS - 1))]
    print(f"  {name:<8} p50 {middle:7.3f}  p95 {p95:7.3f}  max {seconds[-1]:7.3f} s  {dict(answers)}")
    return middle, p95


async def measure(per_s: int) -> None:
    """Start a separate stack with this quota, measure without and with the greedy client, and stop it."""
    print(f"\n{per_s} requests per second and client")
    with tempfile.TemporaryDirectory(prefix="settlement-bench-") as state_dir:
        settings = Settings(
            state_dir=Path(state_dir), auth="on", requests_per_client_per_s=per_s, expire_after_s=WAIT_S
        )
        stack = Stack(with_free_ports(settings))
        await stack.start()
        try:
            async with aiohttp.ClientSession(stack.api_url, connector=aiohttp.TCPConnector(limit=0)) as session:
                admin = await first_key(stack.settings, "boss", force=True)
                greedy, other = [await create_key(session, admin, each) for each in (GREEDY, OTHER)]
                await settle(session, greedy, GREEDY, "FILL")
                await settle(session, other, OTHER, "WARM")
                quiet = await settle(session, other, OTHER, "QUIET")
                async with greedy_client(session, greedy) as statuses:
                    loaded = await settle(session, other, OTHER, "LOADED")
            print(f"  greedy client: {dict(statuses)} answers by status")
            print(f"  ratio loaded to quiet: p50 {loaded[0] / quiet[0]:.1f}, p95 {loaded[1] / quiet[1]:.1f}")
        finally:
            await stack.stop()


async def main() -> None:
    """Measure with and without a quota."""
    for per_s in (QUOTA_PER_S, NO_QUOTA_PER_S):
        await measure(per_s)


if __name__ == "__main__":
    asyncio.run(main())
