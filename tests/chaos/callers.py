"""The platform in a chaos run: posts each order until it gets a response, and keeps the responses."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp

from settlement.states import Decision
from tests.chaos.orders import Order
from tests.e2e.conftest import Answer, System

WAIT_S = 8
HANGS_AFTER_S = WAIT_S + 25.0
"""Longer than the wait: an unresponsive ledger may cost two timeouts of 5 s, twice in one request."""
REPEATED = 0.1
"""Share of the orders that are posted twice at the same time."""
GIVE_UP_S = 90.0
PAUSE_S = 0.3
GOOD = {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED}


@dataclass
class PlacedOrder:
    """One order, as its caller knows it."""

    order: Order
    began_s: float
    """Time of the first POST, monotonic clock."""
    accepted: bool = False
    """Whether any response said that it was accepted."""
    decisions: list[Decision] = field(default_factory=list)


@dataclass
class Callers:
    """Posts orders at a steady rate, many at once."""

    system: System
    rng: random.Random
    placed: dict[str, PlacedOrder] = field(default_factory=dict)
    """By number."""
    answers: Counter[int] = field(default_factory=Counter)
    """Number of responses by status; 0: no response, because the connection broke."""
    wrong_responses: list[str] = field(default_factory=list)
    """Responses that must never occur, and requests without a response."""
    _under_way: "set[asyncio.Task[PlacedOrder]]" = field(default_factory=set)

    async def stream(self, drawn: Iterator[Order], rate_per_s: float, at_once: int, enough: asyncio.Event) -> None:
        """Post orders until `enough` is set."""
        slots = asyncio.Semaphore(at_once)
        while not enough.is_set():
            await slots.acquire()
            self.place(next(drawn)).add_done_callback(lambda _: slots.release())
            await asyncio.sleep(self.rng.expovariate(rate_per_s))

    def place(self, order: Order) -> "asyncio.Task[PlacedOrder]":
        """Post an order, or sometimes two copies at once, until it gets a response or its caller gives up."""
        copies = 2 if self.rng.random() < REPEATED else 1
        placing = asyncio.create_task(self._place(order, copies))
        self._under_way.add(placing)
        placing.add_done_callback(self._under_way.discard)
        return placing

    async def finish(self) -> None:
        """Wait until all requests have a response or were given up."""
        await asyncio.gather(*self._under_way)

    async def cancel(self) -> None:
        """Cancel all requests in progress."""
        for placing in self._under_way:
            placing.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _place(self, order: Order, copies: int) -> PlacedOrder:
        placed = self.placed[order.number] = PlacedOrder(order, time.monotonic())
        await asyncio.gather(*(self._until_answered(placed) for _ in range(copies)))
        return placed

    async def _until_answered(self, placed: PlacedOrder) -> None:
        while time.monotonic() - placed.began_s < GIVE_UP_S:
            answer = await self._post(placed.order)
            if answer is not None and answer.status in GOOD:
                placed.accepted = True
                if decision := answer.body["decision"]:
                    placed.decisions.append(Decision(decision))
                return
            await asyncio.sleep(PAUSE_S)

    async def _post(self, order: Order) -> Answer | None:
        try:
            async with asyncio.timeout(HANGS_AFTER_S):
                answer = await self.system.post(order.body, wait_s=WAIT_S, company_id=order.company_id)
        except TimeoutError:
            self.wrong_responses.append(f"POST of {order.number} got no response in {HANGS_AFTER_S:g} s")
            return None
        except aiohttp.ClientError:
            self.answers[0] += 1
            return None
        self.answers[answer.status] += 1
        if answer.status not in GOOD | {HTTPStatus.SERVICE_UNAVAILABLE}:
            self.wrong_responses.append(f"POST of {order.number} was answered {answer.status}: {answer.body}")
        return answer
