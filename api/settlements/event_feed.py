"""Looks for changes of all settlements that are followed, by one query for all event streams of the process."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from api.services import Services
from config.sampling import SampledLog

log = SampledLog(structlog.get_logger())

POLL_S = 0.5
"""How often the ledger is asked."""


@dataclass
class Followed:
    """A settlement that at least one stream follows. `version` is the last one seen; None: not looked at yet."""

    version: int | None = None
    streams: int = 0


class EventFeed:
    """The versions of the followed settlements. It asks the ledger only while there are any."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._followed: dict[str, Followed] = {}
        self._looked = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def follow(self, number: str) -> Iterator[Followed]:
        """Have a settlement looked at for as long as the context is open."""
        followed = self._followed.setdefault(number, Followed())
        followed.streams += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_again_and_again())
        try:
            yield followed
        finally:
            followed.streams -= 1
            if not followed.streams:
                del self._followed[number]

    async def next_look(self) -> None:
        """Return after the next look, at the latest after twice `POLL_S`: a ledger may be silent."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._looked.wait(), 2 * POLL_S)

    async def _look_again_and_again(self) -> None:
        while self._followed:
            await asyncio.sleep(POLL_S)
            try:
                versions = await self._services.ledger.versions(list(self._followed))
            except Exception as error:  # noqa: BLE001 - whatever it is, the streams outlive it and miss nothing
                log.warning("events not read", error=type(error).__name__)
                continue
            for number, version in versions.items():
                if number in self._followed:
                    self._followed[number].version = version
            self._looked.set()
            self._looked = asyncio.Event()
