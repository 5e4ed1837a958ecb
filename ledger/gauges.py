"""Reads the counts and times of the whole ledger that alerts need."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select

from ledger import queries


@dataclass(frozen=True)
class Gauges:
    """Counts and times for alerts. A key that is missing in a mapping has the count 0."""

    open_by_state: Mapping[str, int]
    """Number of open settlements."""
    oldest_cancelling_at: datetime | None
    """Acceptance time of the oldest CANCELLING settlement; None if there is none."""
    in_doubt: int
    """Number of settlements for which the external system may hold the amount although the order is void."""
    in_doubt_amounts: Mapping[str, float]
    """Sum of their absolute amounts by currency. A float, so only for a gauge, never for accounting."""
    open_findings: Mapping[str, int]
    """Number of open findings, by kind."""
    findings: Mapping[str, int]
    """Total number of findings ever, by kind. It never decreases."""
    last_round_at: datetime | None
    """End of the last round of reconciliation; None if there was none."""


def read_gauges(connection: Connection) -> Gauges:
    """Return all gauges. They are consistent with each other in a transaction of `ledger.engine.reader`."""
    doubts = connection.execute(queries.settlements.in_doubt()).all()
    return Gauges(
        open_by_state=_counts(connection, queries.settlements.open_by_state()),
        oldest_cancelling_at=connection.scalar(queries.settlements.oldest_cancelling()),
        in_doubt=sum(row.row_count for row in doubts),
        in_doubt_amounts={row.currency: row.amount for row in doubts},
        open_findings=_counts(connection, queries.reconciliation.open_findings_by_kind()),
        findings=_counts(connection, queries.reconciliation.all_findings_by_kind()),
        last_round_at=connection.scalar(queries.reconciliation.last_round_at()),
    )


def _counts(connection: Connection, query: Select[Any]) -> dict[str, int]:
    return {key: count for key, count in connection.execute(query).all()}  # noqa: C416 - dict() does not accept Row
