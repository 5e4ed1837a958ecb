"""The record of security events. An act and its event are one transaction, so neither is there without the other."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.chain import hash_of_event
from ledger.security_event_tables import security_events
from ledger.transactions import insert, shielded_transaction
from settlement.security_events import (
    SECURITY_EVENT_PAGE_MAX,
    SecurityEvent,
    SecurityEventKind,
    SecurityEventPage,
)


def inserted(  # noqa: PLR0913 - the columns of an event
    database: AsyncEngine,
    kind: SecurityEventKind,
    subject: str,
    at: datetime,
    *,
    client: str | None,
    key_id: str | None = None,
    detail: str = "",
) -> Any:  # noqa: ANN401 - as `insert`
    """Return the INSERT of an event, for the transaction of the act that it is about."""
    values = {"kind": kind.value, "at": at, "client": client, "key_id": key_id, "subject": subject, "detail": detail}
    return insert(database, security_events).values(values | {"row_hash": hash_of_event(values)})


class SecurityEvents:
    """The record of security events. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @shielded_transaction
    async def add(self, kind: SecurityEventKind, subject: str, at: datetime, detail: str) -> None:
        """Write an event that nobody caused by a request. Repeating it writes another one."""
        async with self._engine.begin() as connection:
            await connection.execute(inserted(self._engine, kind, subject, at, client=None, detail=detail))

    @shielded_transaction
    async def last_subject(self, kind: SecurityEventKind) -> str | None:
        """Return what the newest event of a kind is about; None if there is none."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(queries.security_events.last(kind.value))).first()
        return row.subject if row is not None else None

    @shielded_transaction
    async def page(self, before: int | None, limit: int) -> SecurityEventPage:
        """Return up to `limit` events (at most `SECURITY_EVENT_PAGE_MAX`) with an id below `before`, newest first."""
        limit = min(limit, SECURITY_EVENT_PAGE_MAX)
        async with self._engine.connect() as connection:
            found = (await connection.execute(queries.security_events.page(before, limit + 1))).mappings().all()
        items = tuple(SecurityEvent.model_validate(dict(row)) for row in found[:limit])
        return SecurityEventPage(items=items, next_before=items[-1].event_id if len(found) > limit else None)
