"""Where settlements stand, in short: what is read of thousands of them to find the few that do not fit Temporal."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.transactions import shielded_transaction
from settlement.start import SettlementInput
from settlement.states import State


@dataclass(frozen=True)
class SettlementSummary:
    """Where one settlement stands, as the ledger has it."""

    number: str
    state: State
    version: int
    accepted_at: datetime
    updated_at: datetime
    input: Mapping[str, Any]

    @property
    def expires_at(self) -> datetime:
        """From when on it is not sent any more."""
        # Read only where it is asked for: one row that cannot be read must keep no page of others away.
        return SettlementInput.model_validate(self.input).expires_at


class SettlementSummaries:
    """Reads where settlements stand. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, opened: AsyncEngine) -> None:
        self._engine = opened

    @shielded_transaction
    async def open_ones(
        self, untouched_since: datetime, limit: int, after: tuple[datetime, str] | None = None
    ) -> list[SettlementSummary]:
        """Return settlements that have not ended and were not written to since, oldest first, from behind `after`."""
        return await self._read(queries.settlements.open_summaries(untouched_since, after, limit))

    @shielded_transaction
    async def of(self, numbers: Collection[str]) -> dict[str, SettlementSummary]:
        """Return those of these settlements (at most a page of them) that the ledger has, by number."""
        return {each.number: each for each in await self._read(queries.settlements.standings(numbers))}

    async def _read(self, query: Select[Any]) -> list[SettlementSummary]:
        async with self._engine.connect() as connection:
            return [_to_standing(row) for row in (await connection.execute(query)).all()]


def _to_standing(row: Row[Any]) -> SettlementSummary:
    return SettlementSummary(
        number=row.request_unique_no,
        state=State(row.state),
        version=row.version,
        accepted_at=row.accepted_at,
        updated_at=row.updated_at,
        input=row.input,
    )
