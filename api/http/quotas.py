"""Quotas of one client in one API process: requests per second, waits for a decision, and event streams.

The RateLimit headers follow draft-ietf-httpapi-ratelimit-headers-10. A client at its quota gets 429; nothing is done.
"""

import asyncio
import math
from bisect import bisect_right
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from aiolimiter import AsyncLimiter
from starlette.datastructures import MutableHeaders
from starlette.types import Send

from api.http.problems import ProblemError
from config.sampling import SampledLog
from config.settings import Settings
from schemas.problems import ErrorCode

log = SampledLog(structlog.get_logger())

POLICY = "requests"
"""Name of the policy in the RateLimit headers."""
WINDOW_S = 1
REFUSAL_DELAY_S = 0.5
"""How long a refusal of a request takes. The client's connections are limited, and so are its delayed refusals."""


class RequestQuota:
    """Requests per second of each client: a leaky bucket that holds the requests of one second."""

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._buckets: dict[str, AsyncLimiter] = {}

    async def count(self, client: str, requests: int = 1) -> None:
        """Count requests. Raises ProblemError RATE_LIMITED, without counting them, if too little of the quota is left.

        More than the quota allows besides one request count as that many.

        The refusal takes `REFUSAL_DELAY_S`, so that a client that repeats at once slows down itself and not the others.
        """
        bucket = self._bucket(client)
        requests = max(1, min(requests, self._per_s - 1))
        if not bucket.has_capacity(requests):
            log.warning("client exceeds its quota of requests", client=client, per_s=self._per_s)
            detail = f"the client {client} may send {self._per_s} requests per second"
            problem = ProblemError(ErrorCode.RATE_LIMITED, detail, headers=self.headers(client), retry_after_s=WINDOW_S)
            await asyncio.sleep(REFUSAL_DELAY_S)
            raise problem
        # Does not wait, because there is capacity and nothing ran since the check.
        await bucket.acquire(requests)

    def headers(self, client: str) -> dict[str, str]:
        """Return the policy, and what is left of it: `r` requests now, and all of them again after `t` seconds."""
        left = self._left(self._bucket(client))
        reset_s = math.ceil((self._per_s - left) / self._per_s)
        return {
            "RateLimit-Policy": f'"{POLICY}";q={self._per_s};w={WINDOW_S}',
            "RateLimit": f'"{POLICY}";r={left};t={reset_s}',
        }

    def announcing(self, client: str, send: Send) -> Send:
        """Return a `send` that adds the headers to the response, unless it is a refusal, which has them."""

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers(client).items():
                    headers.setdefault(name, value)
            await send(message)

        return send_with_headers

    def _bucket(self, client: str) -> AsyncLimiter:
        # As many as there are clients with an active key: nobody else gets here.
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = AsyncLimiter(self._per_s, WINDOW_S)
        return bucket

    def _left(self, bucket: AsyncLimiter) -> int:
        """Return how many requests the bucket takes now; the limiter only tells whether it takes a number of them."""
        return bisect_right(range(1, self._per_s + 1), False, key=lambda count: not bucket.has_capacity(count))


class Places:
    """A number of places for each client, such as one for each open event stream."""

    def __init__(self, per_client: int) -> None:
        self.per_client = per_client
        self._held: dict[str, int] = {}

    def __len__(self) -> int:
        """Return the number of places that all clients hold."""
        return sum(self._held.values())

    def are_used_up(self, client: str) -> bool:
        """Return whether a client holds all its places."""
        return self._held.get(client, 0) >= self.per_client

    @contextmanager
    def held(self, client: str) -> Iterator[None]:
        """Hold one place of a client while the context is open."""
        self._held[client] = self._held.get(client, 0) + 1
        try:
            yield
        finally:
            self._held[client] -= 1
            if not self._held[client]:
                del self._held[client]


class Quotas:
    """The quotas of all clients in this process. Event streams have theirs in `api.settlements.event_streams`."""

    def __init__(self, settings: Settings) -> None:
        self.requests = RequestQuota(settings.requests_per_client_per_s)
        self._waits = Places(settings.waits_per_client)

    @contextmanager
    def wait(self, client: str) -> Iterator[None]:
        """Hold a place for a request that waits for a decision. Raises ProblemError TOO_MANY_WAITS_OF_CLIENT."""
        if self._waits.are_used_up(client):
            log.warning("client exceeds its quota of waits", client=client, waits=self._waits.per_client)
            detail = (
                f"{self._waits.per_client} requests of the client {client} already wait for a decision; "
                "repeat this one later, or without Prefer: wait"
            )
            raise ProblemError(ErrorCode.TOO_MANY_WAITS_OF_CLIENT, detail)
        with self._waits.held(client):
            yield
