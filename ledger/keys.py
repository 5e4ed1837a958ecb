"""The API keys in the ledger's database: who has which role, and the keyed hash by which a key is known again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.engine import reader
from ledger.tables import api_keys
from ledger.transactions import insert, shielded_transaction
from settlement.keys import ACTIVE_KEYS_MAX, ApiKey

LISTED_MAX = 1000
"""Keys in one list; the active ones come first, so that only old, revoked ones are ever left out."""


@dataclass(frozen=True)
class StoredKey:
    """A key as it may be shown, and the keyed hash of its secret."""

    key: ApiKey
    secret_hash: str


class KeyRing:
    """The record of API keys. It never sees a secret.

    Every method may raise `sqlalchemy.exc.SQLAlchemyError` or OSError when the database is out of reach.
    """

    def __init__(self, opened: AsyncEngine) -> None:
        self._engine = opened
        self._reader = reader(opened)

    @shielded_transaction
    async def add(self, key: ApiKey, secret_hash: str) -> bool:
        """Write a new, active key; False: its owner has `ACTIVE_KEYS_MAX` active keys, and nothing was written.

        Each active key of an owner holds a slot of its own under a unique key of the database: of many callers
        at once no more succeed than there are slots.
        """
        values = key.model_dump(by_alias=False) | {"role": key.role.value, "secret_hash": secret_hash}
        async with self._engine.begin() as connection:
            for slot in range(1, ACTIVE_KEYS_MAX + 1):
                inserted = await connection.execute(
                    insert(self._engine, api_keys)
                    .values(values | {"slot": slot})
                    .on_conflict_do_nothing(
                        index_elements=[api_keys.c.owner, api_keys.c.slot],
                        index_where=api_keys.c.revoked_at.is_(None),
                    )
                    .returning(api_keys.c.slot)
                )
                if inserted.first() is not None:
                    return True
        return False

    @shielded_transaction
    async def find(self, key_id: str) -> StoredKey | None:
        """Return a key, active or revoked; None: no key has this id."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(queries.api_keys.key(key_id))).first()
        return StoredKey(_to_key(row), row.secret_hash) if row is not None else None

    @shielded_transaction
    async def listed(self) -> list[ApiKey]:
        """Return the active keys, then the revoked ones, in each part the newest first; at most `LISTED_MAX`."""
        async with self._reader.connect() as connection:
            found = list((await connection.execute(queries.api_keys.active_keys(LISTED_MAX))).all())
            found += (await connection.execute(queries.api_keys.revoked_keys(LISTED_MAX))).all()
        return [_to_key(row) for row in found[:LISTED_MAX]]

    @shielded_transaction
    async def revoke(self, key_id: str, revoked_by: str, at: datetime) -> ApiKey | None:
        """End a key and free its slot; None: no key has this id.

        Repeating it changes nothing: who revoked it first, and when, stays.
        """
        async with self._engine.begin() as connection:
            await connection.execute(queries.api_keys.revoke(key_id, revoked_by, at))
            row = (await connection.execute(queries.api_keys.key(key_id))).first()
        return _to_key(row) if row is not None else None


def _to_key(row: Row[Any]) -> ApiKey:
    return ApiKey.model_validate(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name
