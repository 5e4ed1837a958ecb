"""The record of API keys: client, role, scope, expiry, and the keyed hash of each secret and these rights."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.engine import reader
from ledger.security_events import inserted
from ledger.tables import api_keys
from ledger.transactions import insert, shielded_transaction
from settlement.keys import ACTIVE_KEYS_MAX, ApiKey
from settlement.security_events import SecurityEventKind

KEYS_LISTED_MAX = 1000
"""Maximum keys in one list. Active keys come first, so only old, revoked keys are left out."""


@dataclass(frozen=True)
class StoredKey:
    """An API key with the keyed hash of its secret and its rights."""

    key: ApiKey
    record_hash: str


class KeyRing:
    """The record of API keys. It never gets a secret, only its hash.

    Every method may raise `sqlalchemy.exc.SQLAlchemyError` or OSError if the database cannot be reached.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    @shielded_transaction
    async def add(self, key: ApiKey, record_hash: str, *, by_key: str | None = None) -> bool:
        """Write a new, active key, and the event of it. `by_key` is the id of the key that made it.

        Return False, without writing, if the client has `ACTIVE_KEYS_MAX` active keys.

        Each active key of a client has its own slot number, under a unique key of the database. So concurrent calls
        cannot exceed the maximum.
        """
        values = key.model_dump(by_alias=False) | {"role": key.role.value, "record_hash": record_hash}
        async with self._engine.begin() as connection:
            for slot in range(1, ACTIVE_KEYS_MAX + 1):
                written = await connection.execute(
                    insert(self._engine, api_keys)
                    .values(values | {"slot": slot})
                    .on_conflict_do_nothing(
                        index_elements=[api_keys.c.client, api_keys.c.slot],
                        index_where=api_keys.c.revoked_at.is_(None),
                    )
                    .returning(api_keys.c.slot)
                )
                if written.first() is not None:
                    await connection.execute(self._event(SecurityEventKind.KEY_CREATED, key, key.created_by, by_key))
                    return True
        return False

    @shielded_transaction
    async def find(self, key_id: str) -> StoredKey | None:
        """Return a key, active or revoked; None if no key has this id."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(queries.api_keys.key(key_id))).first()
        return StoredKey(_to_key(row), row.record_hash) if row is not None else None

    @shielded_transaction
    async def listed(self) -> list[ApiKey]:
        """Return active keys, then revoked keys, each newest first; at most `KEYS_LISTED_MAX` in total."""
        async with self._reader.connect() as connection:
            found = list((await connection.execute(queries.api_keys.active_keys(KEYS_LISTED_MAX))).all())
            found += (await connection.execute(queries.api_keys.revoked_keys(KEYS_LISTED_MAX))).all()
        return [_to_key(row) for row in found[:KEYS_LISTED_MAX]]

    @shielded_transaction
    async def revoke(self, key_id: str, revoked_by: str, at: datetime, *, by_key: str | None = None) -> ApiKey | None:
        """Revoke a key, write the event of it, and return it; None if no key has this id.

        Repeating it changes nothing: the first `revoked_by` and `revoked_at` stay.
        """
        async with self._engine.begin() as connection:
            revoked = queries.api_keys.revoke(key_id, revoked_by, at).returning(api_keys.c.key_id)
            is_new = (await connection.execute(revoked)).first() is not None
            row = (await connection.execute(queries.api_keys.key(key_id))).first()
            key = _to_key(row) if row is not None else None
            if is_new and key is not None:
                await connection.execute(self._event(SecurityEventKind.KEY_REVOKED, key, revoked_by, by_key, at))
        return key

    def _event(
        self, kind: SecurityEventKind, key: ApiKey, client: str, by_key: str | None, at: datetime | None = None
    ) -> Any:  # noqa: ANN401 - as `insert`
        detail = f"client {key.client}, role {key.role.value}, {key.scope}"
        return inserted(
            self._engine, kind, key.key_id, at or key.created_at, client=client, key_id=by_key, detail=detail
        )

    @shielded_transaction
    async def note_use(self, key_id: str, at: datetime, every_s: float) -> None:
        """Write that a key was used, unless a use less than `every_s` seconds before `at` is recorded."""
        async with self._engine.begin() as connection:
            await connection.execute(queries.api_keys.note_use(key_id, at, at - timedelta(seconds=every_s)))


def _to_key(row: Row[Any]) -> ApiKey:
    return ApiKey.model_validate(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name
