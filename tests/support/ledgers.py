"""Ledgers for tests: copies of a migrated file, and one whose database can be away or silent for long."""

import asyncio
import shutil
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from ledger import Ledger, open_engine
from ledger.migrate import migrate_url
from ledger.sqlite_engine import SqliteEngine
from ledger.tables import external_calls, operator_actions, settlements, state_changes
from settlement.ids import SettlementId
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.tasks import RecordResult
from tests.support.tampering import unguarded

_hanging: set["asyncio.Future[NoReturn]"] = set()


async def migrated_file(folder: Path) -> Path:
    """Migrate a new database file in a folder and return it. A copy costs a tenth of a migration."""
    path = folder / "ledger.db"
    await migrate_url(f"sqlite:///{path}")
    return path


def open_copy(migrated: Path, folder: Path) -> AsyncEngine:
    """Open a copy of a migrated database file in a folder."""
    return open_engine(f"sqlite:///{shutil.copy(migrated, folder / 'ledger.db')}")


def sync_engines(engine: AsyncEngine) -> list[Engine]:
    """Return the engines that hold the connections of an engine. On SQLite, the threads have their own."""
    return [engine.sync_engine, *([engine.synchronous] if isinstance(engine, SqliteEngine) else [])]


async def all_connections_free(engine: AsyncEngine) -> bool:
    """Tell whether every connection is back in its pool."""
    pools = [each.pool for each in sync_engines(engine)]
    return all(isinstance(pool, QueuePool) and pool.checkedout() == 0 for pool in pools)


async def hang() -> NoReturn:
    """Wait as for a server that has fallen silent, until `end_hanging`."""
    silence: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
    _hanging.add(silence)
    try:
        await silence
    finally:
        _hanging.discard(silence)
    raise AssertionError


async def end_hanging() -> None:
    """Cancel every `hang`: what a test leaves pending on the loop of the session would be reported in a later test."""
    for silence in list(_hanging):
        silence.cancel()
    while _hanging:
        await asyncio.sleep(0)


class FlakyLedger(Ledger):
    """The real ledger, unless `down` is set."""

    down = False

    async def record(self, settlement: SettlementInput, snapshot: Snapshot) -> bool:
        """Write, or fail as a database that is away does."""
        self._fail_if_down()
        return await super().record(settlement, snapshot)

    async def record_since(self, settlement_id: SettlementId, since_version: int, snapshot: Snapshot) -> RecordResult:
        """Write, or fail as a database that is away does."""
        self._fail_if_down()
        return await super().record_since(settlement_id, since_version, snapshot)

    def _fail_if_down(self) -> None:
        if self.down:
            message = "the database is away"
            raise OSError(message)


async def forget(engine: AsyncEngine, settlement_id: SettlementId) -> None:
    """Lose a settlement's rows, as a restored backup does."""
    async with unguarded(engine) as connection:
        for part in (external_calls, operator_actions, state_changes):
            await connection.execute(part.delete().where(part.c.settlement_id == settlement_id))
        await connection.execute(settlements.delete().where(settlements.c.settlement_id == settlement_id))
