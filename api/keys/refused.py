"""Records refused keys as security events: at most one event per minute and process, whatever an attacker sends."""

import asyncio
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.keys.text import KeyText
from ledger import SecurityEvents
from settlement.security_events import SecurityEventKind

log = structlog.get_logger()

EVERY_S = 60.0
"""Minimum time between two events of one process: at most 1440 rows a day."""
NAMED_MAX = 5
"""Maximum ids of keys that one event names."""


class RefusedKeys:
    """Counts requests without a valid key, and writes the count in the background. No request waits for it."""

    def __init__(self, events: SecurityEvents, every_s: float = EVERY_S) -> None:
        self._events = events
        self._every_s = every_s
        self._count = 0
        self._named: dict[str, None] = {}
        self._writing: asyncio.Task[None] | None = None

    def note(self, sent: str) -> None:
        """Count one refusal. `sent` is what the caller sent as a key; of it only the id is recorded."""
        self._count += 1
        text = KeyText.parse(sent)
        if text is not None and len(self._named) < NAMED_MAX:
            self._named[text.key_id] = None
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Write what has been counted, without a further wait."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
        await self._write_counted()

    async def _write(self) -> None:
        """Write the first refusal at once, and then what was counted in each period, until there was none."""
        try:
            while self._count:
                await self._write_counted()
                await asyncio.sleep(self._every_s)
        finally:
            self._writing = None

    async def _write_counted(self) -> None:
        count, named = self._count, list(self._named)
        if not count:
            return
        self._count, self._named = 0, {}
        ids = f"; among them the key ids {', '.join(named)}" if named else ""
        detail = f"{count} requests without a valid key{ids}"
        try:
            await self._events.add(SecurityEventKind.KEYS_REFUSED, "api", datetime.now(UTC), detail)
        except (SQLAlchemyError, OSError) as error:
            # Counted again with the next ones.
            self._count += count
            log.warning("refused keys not recorded", count=count, error=type(error).__name__)
