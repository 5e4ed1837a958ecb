"""How long others wait for their decision while one company's calls hang: `python -m bench.overload`.

One company has many adjusts that hang at once, and then as many as there are slots, again and again. Another's
orders, one after the other, are answered at once. The figures are their waits, with the flood and without.
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


async def decided(session: aiohttp.ClientSession, number: str, company_id: int) -> tuple[str, float]:
    """Post one order, which hangs for the one company only, and return its decision and the seconds it took."""
    body = order(number)
    if company_id == OTHER_COMPANY:
        del body["metadata"]
    headers = {"Prefer": f"wait={WAIT_S}", "companyId": str(company_id)}
    started = time.monotonic()
    async with session.post("/v1/settlements", json=body, headers=headers) as response:
        return str((await response.json()).get("decision")), time.monotonic() - started


@asynccontextmanager
async def flood(session: aiohttp.ClientSession) -> AsyncIterator[None]:
    """Have the one company's orders hang for as long as the context is open."""
    over = asyncio.Event()

    async def one_by_one(name: str) -> None:
        for count in itertools.count():
            if over.is_set():
                return
            await decided(session, f"{name}-{count}", HANGING_COMPANY)

    async with asyncio.TaskGroup() as group:
        for index in range(AT_ONCE):
            group.create_task(decided(session, f"HANG-{index}", HANGING_COMPANY))
        for index in range(SLOTS):
            group.create_task(one_by_one(f"MORE-{index}"))
        try:
            yield
        finally:
            over.set()


async def others(session: aiohttp.ClientSession, name: str) -> tuple[float, float]:
    """Settle the other company's orders one after the other; return what half and 95 of 100 waited at most."""
    answers = [await decided(session, f"{name}-{index}", OTHER_COMPANY) for index in range(ORDERS)]
    seconds = sorted(took for _, took in answers)
    middle, p95 = statistics.median(seconds), seconds[int(0.95 * (ORDERS - 1))]
    proceed = sum(decision == "PROCEED" for decision, _ in answers)
    print(f"  {name:<8} p50 {middle:7.3f}  p95 {p95:7.3f}  max {seconds[-1]:7.3f} s  PROCEED {proceed} of {ORDERS}")
    return middle, p95


async def measure(company_slots: int) -> None:
    """Start a stack of its own, measure without the flood and with it, stop it."""
    print(f"\n{company_slots} of {SLOTS} slots for one company")
    with tempfile.TemporaryDirectory(prefix="settlement-bench-") as state_dir:
        settings = Settings(
            state_dir=Path(state_dir), worker_slots=SLOTS, company_slots=company_slots, expire_after_s=WAIT_S
        )
        stack = Stack(with_free_ports(settings))
        await stack.start()
        try:
            async with aiohttp.ClientSession(stack.api_url, connector=aiohttp.TCPConnector(limit=0)) as session:
                await others(session, "WARM")
                quiet = await others(session, "QUIET")
                async with flood(session):
                    flooded = await others(session, "FLOODED")
            print(f"  with the flood to without: p50 {flooded[0] / quiet[0]:.1f}, p95 {flooded[1] / quiet[1]:.1f}")
        finally:
            await stack.stop()


async def main() -> None:
    """Measure with the bulkhead and without."""
    for company_slots in (COMPANY_SLOTS, SLOTS):
        await measure(company_slots)


if __name__ == "__main__":
    asyncio.run(main())
