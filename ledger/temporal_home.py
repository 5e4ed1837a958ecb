"""The record of the Temporal that the ledger belongs to. Whoever is connected to another one must not act on it."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.tables import temporal_home
from ledger.transactions import insert, shielded_transaction
from settlement.temporal_identity import TemporalIdentity


class TemporalHome:
    """At most one identity. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, opened: AsyncEngine) -> None:
        self._engine = opened

    @shielded_transaction
    async def read(self) -> TemporalIdentity | None:
        """Return the Temporal that the ledger belongs to; None: no worker or API has ever started on it."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(queries.temporal.home())).first()
        return None if row is None else TemporalIdentity.model_validate(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name

    @shielded_transaction
    async def adopt_first(self, identity: TemporalIdentity, by: str, at: datetime) -> TemporalIdentity:
        """Have the ledger belong to a Temporal unless it belongs to one; return the one that it belongs to.

        Of many at once one is written, by the primary key, and all of them are told the same.
        """
        statement = (
            insert(self._engine, temporal_home)
            .values(home_id=1, adopted_by=by, adopted_at=at, **identity.model_dump(by_alias=False))
            .on_conflict_do_nothing(index_elements=[temporal_home.c.home_id])
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)
            row = (await connection.execute(queries.temporal.home())).one()
        return TemporalIdentity.model_validate(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name

    @shielded_transaction
    async def move(self, before: TemporalIdentity, after: TemporalIdentity, by: str, at: datetime) -> bool:
        """Have the ledger belong to another Temporal; False: it does not belong to `before` any more, and stays.

        Repeating it returns False and changes nothing.
        """
        values = {**after.model_dump(by_alias=False), "adopted_by": by, "adopted_at": at}
        async with self._engine.begin() as connection:
            moved = await connection.execute(queries.temporal.move_home(before.namespace_id, values))
            return moved.first() is not None
