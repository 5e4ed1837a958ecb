"""A ledger whose database can be away for as long as a test wants."""

from contract.payloads import SettlementInput, Snapshot
from ledger import Ledger


class FlakyLedger(Ledger):
    """The real ledger, unless `down` is set."""

    down = False

    async def record(self, settlement: SettlementInput, snapshot: Snapshot) -> bool:
        """Write, or fail as a database that is away does."""
        if self.down:
            message = "the database is away"
            raise OSError(message)
        return await super().record(settlement, snapshot)
