"""The Temporal namespace that the ledger is bound to. A process connected to another one must not act on the ledger."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from contract.model import Model
from ledger import queries
from ledger.tables import temporal_home
from ledger.transactions import insert, shielded_transaction


class TemporalIdentity(Model):
    """The identity of one namespace of one Temporal cluster. Temporal never reuses either id."""

    cluster_id: str
    """Empty if the server does not reveal it, as in Temporal Cloud."""
    namespace: str
    """The name, only for display: namespaces of two servers usually have the same name."""
    namespace_id: str

    def is_same_as(self, other: "TemporalIdentity") -> bool:
        """Return whether both are the same namespace of the same cluster. An unknown cluster id is not compared."""
        known = self.cluster_id and other.cluster_id
        return self.namespace_id == other.namespace_id and (not known or self.cluster_id == other.cluster_id)

    def __str__(self) -> str:
        """Return the identity as text for messages."""
        return f"namespace {self.namespace} ({self.namespace_id}) of cluster {self.cluster_id or 'unknown'}"


class TemporalBinding:
    """The record of the ledger's Temporal namespace, at most one. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @shielded_transaction
    async def read(self) -> TemporalIdentity | None:
        """Return the Temporal namespace that the ledger is bound to; None if no worker or API has started yet."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(queries.temporal.binding())).first()
        return None if row is None else TemporalIdentity.model_validate(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name

    @shielded_transaction
    async def bind_first(self, identity: TemporalIdentity, by: str, at: datetime) -> TemporalIdentity:
        """Bind the ledger to a Temporal namespace unless it is already bound; return the one that it is bound to.

        Of concurrent calls, the primary key lets one write; all of them return the same namespace.
        """
        statement = (
            insert(self._engine, temporal_home)
            .values(home_id=1, adopted_by=by, adopted_at=at, **identity.model_dump(by_alias=False))
            .on_conflict_do_nothing(index_elements=[temporal_home.c.home_id])
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)
            row = (await connection.execute(queries.temporal.binding())).one()
        return TemporalIdentity.model_validate(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name

    @shielded_transaction
    async def move(self, before: TemporalIdentity, after: TemporalIdentity, by: str, at: datetime) -> bool:
        """Bind the ledger to another Temporal namespace. Return False, unchanged, if it is not bound to `before`.

        Repeating it returns False and changes nothing.
        """
        values = {**after.model_dump(by_alias=False), "adopted_by": by, "adopted_at": at}
        async with self._engine.begin() as connection:
            moved = await connection.execute(queries.temporal.move_binding(before.namespace_id, values))
            return moved.first() is not None
