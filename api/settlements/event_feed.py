"""Polls the ledger for changes of all followed settlements: one query for all event streams of the process."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from api.services import Services
from config.sampling import SampledLog
from settlement.ids import SettlementId

log = SampledLog(structlog.get_logger())

POLL_S = 0.5
"""Interval of the queries."""


@dataclass
class Followed:
    """A settlement that at least one stream follows. `version` is the last one read; None before the first query."""

    version: int | None = None
    streams: int = 0


class EventFeed:
    """The versions of the followed settlements. It queries the ledger only while there are any."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._followed: dict[SettlementId, Followed] = {}
        self._polled = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None

    @contextmanager
    def follow(self, settlement_id: SettlementId) -> Iterator[Followed]:
        """Follow a settlement while the context is open."""
        followed = self._followed.setdefault(settlement_id, Followed())
        followed.streams += 1
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            yield followed
        finally:
            followed.streams -= 1
            if not followed.streams:
                del self._followed[settlement_id]

    async def next_poll(self) -> None:
        """Return after the next query, or after twice `POLL_S` if the ledger does not respond."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._polled.wait(), 2 * POLL_S)

    async def _poll(self) -> None:
        while self._followed:
            await asyncio.sleep(POLL_S)
            try:
                versions = await self._services.ledger.versions(list(self._followed))
            except Exception as error:  # noqa: BLE001 - after any error the next query catches up
                log.warning("events not read", error=type(error).__name__)
                continue
            for settlement_id, version in versions.items():
                if settlement_id in self._followed:
                    self._followed[settlement_id].version = version
            self._polled.set()
            self._polled = asyncio.Event()
