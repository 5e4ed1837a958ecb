"""Queries on the reports of circuit breakers. There is one row for each worker process and system with a breaker."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Delete, Select, delete, or_, select

from ledger.external_system_tables import breaker_reports
from ledger.queries.table import registered

_SINCE = datetime(2026, 1, 5, tzinfo=UTC)


@registered((_SINCE,))
def reports(since: datetime) -> Select[Any]:
    """Return the reports of every system that are not older than `since`."""
    return select(breaker_reports).where(breaker_reports.c.reported_at >= since)


@registered(("alpha", _SINCE))
def reports_of(system: str, since: datetime) -> Select[Any]:
    """Return the reports of one system that are not older than `since`."""
    return reports(since).where(breaker_reports.c.system == system)


@registered(("worker-1", _SINCE))
def obsolete(worker: str, before: datetime) -> Delete:
    """Delete the reports of one worker, and those of any worker that are older than `before`."""
    columns = breaker_reports.c
    return delete(breaker_reports).where(or_(columns.worker == worker, columns.reported_at < before))
