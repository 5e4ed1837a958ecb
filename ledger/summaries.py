"""Reads short summaries of settlements, which reconciliation compares with Temporal."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.transactions import shielded_transaction
from settlement.ids import SettlementId
from settlement.start import SettlementInput
from settlement.states import State


@dataclass(frozen=True)
class SettlementSummary:
    """State and version of one settlement in the ledger."""

    settlement_id: SettlementId
    state: State
    version: int
    accepted_at: datetime
    updated_at: datetime
    input: Mapping[str, Any]

    @property
    def expires_at(self) -> datetime:
        """The time from which the adjust is no longer sent."""
        # Parsed only on access, so that one invalid row does not make a whole page unreadable.
        return SettlementInput.model_validate(self.input).expires_at


class SettlementSummaries:
    """Reads summaries of settlements. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @shielded_transaction
    async def open_settlements(
        self, unchanged_since: datetime, limit: int, after: tuple[datetime, SettlementId] | None = None
    ) -> list[SettlementSummary]:
        """Return open settlements last written before `unchanged_since`, oldest first, after the cursor `after`."""
        return await self._read(queries.settlements.open_summaries(unchanged_since, after, limit))

    @shielded_transaction
    async def by_id(self, settlement_ids: Collection[SettlementId]) -> dict[SettlementId, SettlementSummary]:
        """Return the summaries of those of these settlements that the ledger has, by id. At most one page."""
        return {each.settlement_id: each for each in await self._read(queries.settlements.summaries(settlement_ids))}

    async def _read(self, query: Select[Any]) -> list[SettlementSummary]:
        async with self._engine.connect() as connection:
            return [_to_summary(row) for row in (await connection.execute(query)).all()]


def _to_summary(row: Row[Any]) -> SettlementSummary:
    return SettlementSummary(
        settlement_id=row.settlement_id,
        state=State(row.state),
        version=row.version,
        accepted_at=row.accepted_at,
        updated_at=row.updated_at,
        input=row.input,
    )
