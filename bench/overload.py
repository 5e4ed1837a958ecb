"""Measures how long a company waits for decisions while another company's calls hang: `python -m bench.overload`.

The hanging company posts many orders at once, and then keeps as many in flight as there are slots. The other company
posts its orders one after the other; their adjusts are answered at once. The figures are the times until the other
company's decisions, with and without the hanging orders.
"""

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from bench.hanging import order
from config.settings import Settings
from stack.parts import Stack
from stack.ports import with_free_ports

SLOTS, COMPANY_SLOTS, AT_ONCE, ORDERS = 8, 4, 80, 30
HANGING_COMPANY, OTHER_COMPANY = 1, 2
WAIT_S = 60


async def post_order(session: aiohttp.ClientSession, number: str, company_id: int) -> tuple[str, float]:
    """Post one order; return its decision and the seconds until it. Only orders of HANGING_COMPANY hang."""
    body = order(number)
    if company_id == OTHER_COMPANY:
        del body["metadata"]
    headers = {"Prefer": f"wait={WAIT_S}", "companyId": str(company_id)}
    started = time.monotonic()
    async with session.post("/v1/settlements", json=body, headers=headers) as response:
        return str((await response.json()).get("decision")), time.monotonic() - started


@asynccontextmanager
async def hanging_orders(session: aiohttp.ClientSession) -> AsyncIterator[None]:
    """Keep orders of HANGING_COMPANY in flight for the length of the block."""
    stopped = asyncio.Event()

    async def one_by_one(name: str) -> None:
        for count in itertools.count():
            if stopped.is_set():
                return
            await post_order(session, f"{name}-{count}", HANGING_COMPANY)

    async with asyncio.TaskGroup() as group:
        for index in range(AT_ONCE):
            group.create_task(post_order(session, f"HANG-{index}", HANGING_COMPANY))
        for index in range(SLOTS):
            group.create_task(one_by_one(f"MORE-{index}"))
        try:
            yield
        finally:
            stopped.set()


async def settle_other_orders(session: aiohttp.ClientSession, name: str) -> tuple[float, float]:
    """Settle orders of OTHER_COMPANY one after the other; return median and 95th percentile of the waits in seconds."""
    answers = [await post_order(session, f"{name}-{index}", OTHER_COMPANY) for index in range(ORDERS)]
    seconds = sorted(took for _, took in answers)
    middle, p95 = statistics.median(seconds), seconds[int(0.95 * (ORDERS - 1))]
    proceed = sum(decision == "PROCEED" for decision, _ in answers)
    print(f"  {name:<8} p50 {middle:7.3f}  p95 {p95:7.3f}  max {seconds[-1]:7.3f} s  PROCEED {proceed} of {ORDERS}")
    return middle, p95


async def measure(company_slots: int) -> None:
    """Start a separate stack, measure without and with hanging orders, and stop it."""
    print(f"\n{company_slots} of {SLOTS} slots for one company")
    with tempfile.TemporaryDirectory(prefix="settlement-bench-") as state_dir:
        settings = Settings(
            state_dir=Path(state_dir), worker_slots=SLOTS, company_slots=company_slots, expire_after_s=WAIT_S
        )
        stack = Stack(with_free_ports(settings))
        await stack.start()
        try:
            async with aiohttp.ClientSession(stack.api_url, connector=aiohttp.TCPConnector(limit=0)) as session:
                await settle_other_orders(session, "WARM")
                quiet = await settle_other_orders(session, "QUIET")
                async with hanging_orders(session):
                    loaded = await settle_other_orders(session, "LOADED")
            print(f"  ratio loaded to quiet: p50 {loaded[0] / quiet[0]:.1f}, p95 {loaded[1] / quiet[1]:.1f}")
        finally:
            await stack.stop()


async def main() -> None:
    """Measure with and without the bulkhead."""
    for company_slots in (COMPANY_SLOTS, SLOTS):
        await measure(company_slots)


if __name__ == "__main__":
    asyncio.run(main())
