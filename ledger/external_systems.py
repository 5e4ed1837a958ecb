"""The record of paused external systems, and of the operator actions on them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.external_system_tables import paused_systems, system_actions
from ledger.security_events import inserted
from ledger.transactions import insert, read, shielded_transaction
from settlement.external_systems import SystemAction, SystemActionKind, SystemPause
from settlement.security_events import SecurityEventKind

_PAUSE = queries.external_systems.pause()

_EVENTS = {
    SystemActionKind.PAUSE: SecurityEventKind.SYSTEM_PAUSED,
    SystemActionKind.RESUME: SecurityEventKind.SYSTEM_RESUMED,
}

ACTIONS_LISTED_MAX = 50
"""Maximum operator actions in one answer, the newest first. Older ones stay in the ledger."""


class SystemPausedError(Exception):
    """An operator has paused the external system: it takes no new orders. Nothing was written."""

    def __init__(self, system: str, pause: SystemPause) -> None:
        super().__init__(f"the external system {system} is paused")
        self.pause = pause
        """The pause, with the operator's note."""


def read_pause(connection: Connection, system: str) -> SystemPause | None:
    """Return the pause of a system; None if it is not paused."""
    row = connection.execute(_PAUSE, {"paused_system": system}).first()
    return SystemPause.model_validate(_fields(row)) if row is not None else None


class SystemPauses:
    """The record of pauses. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @shielded_transaction
    async def pause(self, system: str, operator: str, note: str, at: datetime, *, key_id: str | None = None) -> bool:
        """Pause a system. Return False, without a change, if it is paused already: the first operator and note stay."""
        values = {"system": system, "operator": operator, "key_id": key_id, "note": note, "at": at}
        paused = insert(self._engine, paused_systems).values(values)
        once = paused.on_conflict_do_nothing(index_elements=[paused_systems.c.system])
        return await self._act(once.returning(paused_systems.c.system), SystemActionKind.PAUSE, values)

    @shielded_transaction
    async def resume(self, system: str, operator: str, note: str, at: datetime, *, key_id: str | None = None) -> bool:
        """End the pause of a system. Return False, without a change, if it is not paused."""
        values = {"system": system, "operator": operator, "key_id": key_id, "note": note, "at": at}
        ended = queries.external_systems.end_pause(system).returning(paused_systems.c.system)
        return await self._act(ended, SystemActionKind.RESUME, values)

    @shielded_transaction
    async def find(self, system: str) -> SystemPause | None:
        """Return the pause of a system; None if it is not paused."""
        return await read(self._engine, lambda connection: read_pause(connection, system))

    @shielded_transaction
    async def listed(self) -> dict[str, SystemPause]:
        """Return every pause by the name of its system."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(queries.external_systems.pauses())).all()
        return {row.system: SystemPause.model_validate(_fields(row)) for row in rows}

    @shielded_transaction
    async def actions(self, system: str) -> tuple[SystemAction, ...]:
        """Return the last `ACTIONS_LISTED_MAX` operator actions on a system, newest first."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(queries.external_systems.actions(system, ACTIONS_LISTED_MAX))).all()
        return tuple(SystemAction.model_validate(_fields(row)) for row in rows)

    async def _act(self, change: Any, kind: SystemActionKind, values: dict[str, Any]) -> bool:  # noqa: ANN401 - an INSERT or a DELETE
        """Make a change, and record the action if there was something to change, in one transaction."""
        async with self._engine.begin() as connection:
            if (await connection.execute(change)).first() is None:
                return False
            await connection.execute(insert(self._engine, system_actions).values(**values, kind=kind.value))
            who = {"client": values["operator"], "key_id": values["key_id"], "detail": values["note"]}
            await connection.execute(inserted(self._engine, _EVENTS[kind], values["system"], values["at"], **who))
        return True


def _fields(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
