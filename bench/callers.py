"""Callers that post orders and wait for each decision, and the figures of their waits."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import aiohttp

from bench.hanging import order

CALLERS, COMPANIES = 64, 5
WAIT_S = 60
"""Longest wait for a decision, and the expiry of orders in these measurements: a slow server must not expire them."""

Order = dict[str, str | int]


class Load(NamedTuple):
    """The figures of orders that several callers posted at the same time."""

    rate_per_s: float
    """Decisions per second."""
    p50_s: float
    """Median of the times from a POST to its decision."""
    decisions: Counter[str]
    """How often each decision occurred."""


def plain_order(number: str) -> Order:
    """Return an order whose adjust is applied and answered at once."""
    body = order(number)
    del body["metadata"]
    return body


async def post_order(session: aiohttp.ClientSession, body: Order, company_id: int = 1) -> tuple[str, float]:
    """Post one order; return its decision and the seconds until it. An error is returned as its HTTP status."""
    headers = {"Prefer": f"wait={WAIT_S}", "companyId": str(company_id)}
    started = time.monotonic()
    async with session.post("/v1/settlements", json=body, headers=headers) as response:
        answer = await response.json()
        decision = answer.get("decision") if response.ok else response.status
    return str(decision), time.monotonic() - started


async def settle_at_once(session: aiohttp.ClientSession, bodies: Iterable[Order], callers: int = CALLERS) -> Load:
    """Settle at least one order, of the companies in turn. Each caller posts one after the other."""
    remaining = enumerate(bodies)
    answers: list[tuple[str, float]] = []

    async def one_by_one() -> None:
        for index, body in remaining:
            answers.append(await post_order(session, body, 1 + index % COMPANIES))

    started = time.monotonic()
    await asyncio.gather(*(one_by_one() for _ in range(callers)))
    seconds = time.monotonic() - started
    decisions = Counter(decision for decision, _ in answers)
    return Load(len(answers) / seconds, statistics.median(took for _, took in answers), decisions)
