"""What an alert must see of the whole ledger, at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import queries


@dataclass(frozen=True)
class Gauges:
    """Counts and moments. What is not there counts as nothing: only the keys that were found are here."""

    open_by_state: Mapping[str, int]
    """Settlements that have not ended."""
    oldest_cancelling_at: datetime | None
    """When the oldest settlement that is CANCELLING was accepted; None: there is none."""
    in_doubt: int
    """Settlements of which the external system may hold the amount although the order is void."""
    in_doubt_amounts: Mapping[str, float]
    """Sum of their amounts by currency, without their signs. A float: for a gauge, never for the books."""
    open_findings: Mapping[str, int]
    """Findings of reconciliation that a person must look at, by kind."""
    findings: Mapping[str, int]
    """All findings that there have ever been, by kind: it only grows."""
    last_round_at: datetime | None
    """When the last round of reconciliation ended; None: there was none."""


async def read_gauges(connection: AsyncConnection) -> Gauges:
    """Read all of them. In a transaction that sees one moment they fit each other."""
    doubts = (await connection.execute(queries.settlements.in_doubt())).all()
    return Gauges(
        open_by_state=await _counts(connection, queries.settlements.open_by_state()),
        oldest_cancelling_at=await connection.scalar(queries.settlements.oldest_cancelling()),
        in_doubt=sum(row.count_ for row in doubts),
        in_doubt_amounts={row.currency: row.amount for row in doubts},
        open_findings=await _counts(connection, queries.reconciliation.open_findings_by_kind()),
        findings=await _counts(connection, queries.reconciliation.all_findings_by_kind()),
        last_round_at=await connection.scalar(queries.reconciliation.last_round_at()),
    )


async def _counts(connection: AsyncConnection, query: Select[Any]) -> dict[str, int]:
    return {key: count for key, count in (await connection.execute(query)).all()}  # noqa: C416 - a Row is no pair
