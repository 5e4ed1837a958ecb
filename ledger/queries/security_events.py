"""Queries on security events."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, select, tuple_

from ledger.queries.table import registered
from ledger.security_event_tables import security_events

_SAMPLE_TIME = datetime(2026, 1, 5, 12, tzinfo=UTC)


@registered((None, 201), (17, 201))
def page(before: int | None, limit: int) -> Select[Any]:
    """Return events with an id below `before`, newest first."""
    columns = security_events.c
    query = select(security_events).order_by(columns.event_id.desc()).limit(limit)
    return query if before is None else query.where(columns.event_id < before)


@registered(("LIMITS_CHANGED",))
def last(kind: str) -> Select[Any]:
    """Return the newest event of a kind."""
    columns = security_events.c
    return select(security_events).where(columns.kind == kind).order_by(columns.event_id.desc()).limit(1)


@registered(*((_SAMPLE_TIME, _SAMPLE_TIME.replace(hour=13), after, 1000) for after in (None, (_SAMPLE_TIME, 17))))
def written(start: datetime, before: datetime, after: tuple[datetime, int] | None, limit: int) -> Select[Any]:
    """Return events from `start` until `before`, oldest first, after the cursor `after`."""
    columns = security_events.c
    query = select(security_events).where(columns.at >= start, columns.at < before)
    if after is not None:
        query = query.where(tuple_(columns.at, columns.event_id) > after)
    return query.order_by(columns.at, columns.event_id).limit(limit)
