"""A ledger whose database can be away for as long as a test wants."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger
from ledger.tables import external_calls, operator_actions, settlements, state_changes
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.tasks import RecordResult


class FlakyLedger(Ledger):
    """The real ledger, unless `down` is set."""

    down = False

    async def record(self, settlement: SettlementInput, snapshot: Snapshot) -> bool:
        """Write, or fail as a database that is away does."""
        self._fail_if_down()
        return await super().record(settlement, snapshot)

    async def record_since(self, request_unique_no: str, since_version: int, snapshot: Snapshot) -> RecordResult:
        """Write, or fail as a database that is away does."""
        self._fail_if_down()
        return await super().record_since(request_unique_no, since_version, snapshot)

    def _fail_if_down(self) -> None:
        if self.down:
            message = "the database is away"
            raise OSError(message)


async def forget(engine: AsyncEngine, number: str) -> None:
    """Lose a settlement's rows, as a restored backup does."""
    async with engine.begin() as connection:
        for part in (external_calls, operator_actions, state_changes):
            await connection.execute(part.delete().where(part.c.settlement_no == number))
        await connection.execute(settlements.delete().where(settlements.c.request_unique_no == number))
