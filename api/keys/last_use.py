"""Records when API keys were last used, in the background."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from config.sampling import SampledLog
from ledger import KeyRing

log = SampledLog(structlog.get_logger())

WRITTEN_EVERY_S = 60.0
"""A key's last use is written at most once in this time."""
WRITE_LIMIT_S = 5.0
NOTED_KEYS_MAX = 1000
"""Keys whose last write is remembered. One more forgets the one that was written longest ago."""


class LastUse:
    """Writes the last use of keys. No request waits for a write, and a failed write is only logged."""

    def __init__(self, ring: KeyRing, clock: Callable[[], float]) -> None:
        self._ring = ring
        self._clock = clock
        self._written_at: dict[str, float] = {}
        self._writes: set[asyncio.Task[None]] = set()

    def note(self, key_id: str, at: datetime) -> None:
        """Start to write that a key was used, unless this process did so less than `WRITTEN_EVERY_S` ago.

        The statement compares the time once more: of several processes, one writes.
        """
        now = self._clock()
        if now - self._written_at.get(key_id, now - WRITTEN_EVERY_S) < WRITTEN_EVERY_S:
            return
        self._written_at.pop(key_id, None)
        if len(self._written_at) >= NOTED_KEYS_MAX:
            del self._written_at[next(iter(self._written_at))]
        self._written_at[key_id] = now
        write = asyncio.create_task(self._write(key_id, at))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)

    async def written(self) -> None:
        """Wait until the writes that have been started have ended."""
        while self._writes:
            await asyncio.wait(self._writes)

    async def _write(self, key_id: str, at: datetime) -> None:
        try:
            async with asyncio.timeout(WRITE_LIMIT_S):
                await self._ring.note_use(key_id, at, WRITTEN_EVERY_S)
        except Exception as error:  # noqa: BLE001 - it is only informative; the next minute writes it again
            log.warning("last use of an api key not written", key_id=key_id, error=type(error).__name__)
