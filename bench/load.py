"""Posts orders, from a fixed number of callers (closed loop) or at random times at a rate (open loop)."""

import asyncio
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import aiohttp

from bench.broker import REJECTED
from bench.hanging import HANGING, order

WAIT_S = 60
ANSWER_LIMIT_S = WAIT_S + 30
CALLERS = 64
"""Concurrent callers; they saturate a machine of two cores."""
REJECTED_EVERY = 20
"""In a load with 5 % bad orders, every 20th is rejected."""


@dataclass(frozen=True)
class Order:
    """One order to post."""

    number: str
    metadata: str | None = None
    """What the external system does with it; None: it applies it."""
    company_id: int = 1


@dataclass(frozen=True)
class Answer:
    """The answer to one order."""

    number: str
    decision: str | None
    """None: refused, failed, or not decided within the wait."""
    after_s: float
    """From the time at which the order was due to be sent."""
    is_accepted: bool = True
    """Whether the order was accepted, decided or not."""


@dataclass(frozen=True)
class Load:
    """All answers of one load."""

    answers: list[Answer]
    seconds: float
    """From the first order to the last answer."""

    @property
    def per_s(self) -> float:
        """Decided orders per second."""
        return len(self.decided) / self.seconds

    @property
    def accepted(self) -> list[str]:
        """The numbers of the orders that were accepted."""
        return [each.number for each in self.answers if each.is_accepted]

    @property
    def decided(self) -> list[Answer]:
        """The orders with a decision."""
        return [each for each in self.answers if each.decision is not None]

    def after_ms(self, share: float) -> float:
        """Return a percentile of the times until the decision."""
        return 1000 * percentile([each.after_s for each in self.decided], share)


def healthy(name: str, count: int, company_id: int = 1) -> list[Order]:
    """Return orders that the external system applies."""
    return [Order(f"{name}-{index}", company_id=company_id) for index in range(count)]


def five_percent_bad(name: str, count: int) -> list[Order]:
    """Return orders of which the external system rejects every twentieth."""
    return [
        Order(f"{name}-{index}", REJECTED if index % REJECTED_EVERY == REJECTED_EVERY - 1 else None)
        for index in range(count)
    ]


def hanging(name: str, count: int) -> list[Order]:
    """Return orders whose adjust is never answered."""
    return [Order(f"{name}-{index}", HANGING) for index in range(count)]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the values are, by the nearest rank; NaN if there are none."""
    return sorted(values)[round(share * (len(values) - 1))] if values else math.nan


async def closed_loop(session: aiohttp.ClientSession, orders: Sequence[Order], callers: int) -> Load:
    """Post all orders; each of the callers posts its next one when its last one is answered."""
    waiting = iter(orders)
    started = time.monotonic()
    answers = await asyncio.gather(*(_one_after_the_other(session, waiting) for _ in range(callers)))
    return Load([each for some in answers for each in some], time.monotonic() - started)


async def _one_after_the_other(session: aiohttp.ClientSession, waiting: Iterator[Order]) -> list[Answer]:
    return [await post(session, each, time.monotonic()) for each in waiting]


async def open_loop(session: aiohttp.ClientSession, orders: Sequence[Order], due_s: Sequence[float]) -> Load:
    """Post each order at its time from now, however slow the answers are."""
    started = time.monotonic()

    async def on_time(each: Order, due: float) -> Answer:
        await asyncio.sleep(max(0, due - time.monotonic()))
        return await post(session, each, due)

    due = [started + each for each in due_s]
    answers = await asyncio.gather(*(on_time(*each) for each in zip(orders, due, strict=True)))
    return Load(answers, time.monotonic() - started)


def arrivals(rate_per_s: float, seconds: float, seed: int) -> list[float]:
    """Return random times of arrivals, independent of each other (a Poisson process), in seconds from the start."""
    chance, times, now = random.Random(seed), list[float](), 0.0  # noqa: S311 - nothing secret
    while (now := now + chance.expovariate(rate_per_s)) < seconds:
        times.append(now)
    return times


def as_json(each: Order) -> dict[str, str | int]:
    """Return the body of an order's POST."""
    body = order(each.number)
    del body["metadata"]
    return body if each.metadata is None else body | {"metadata": each.metadata}


async def post(session: aiohttp.ClientSession, each: Order, due: float) -> Answer:
    """Post one order that was due at a time of the monotonic clock. An error is an answer without a decision."""
    body = as_json(each)
    headers = {"Prefer": f"wait={WAIT_S}", "companyId": str(each.company_id)}
    decision, is_accepted = None, False
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S), session.post("/v1/settlements", json=body, headers=headers) as got:
            decision, is_accepted = (await got.json()).get("decision"), got.ok
    except (aiohttp.ClientError, TimeoutError) as error:
        print(f"  {each.number}: {type(error).__name__} {error}")
    return Answer(each.number, decision, time.monotonic() - due, is_accepted)
