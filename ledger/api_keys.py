"""The API keys in the ledger's database: who has which role, and the keyed hash by which a key is known again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from contract.access import ACTIVE_KEYS_MAX, ApiKey
from ledger.tables import api_keys
from ledger.transactions import ends_by_itself, insert

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

    @ends_by_itself
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

    @ends_by_itself
    async def find(self, key_id: str) -> StoredKey | None:
        """Return a key, active or revoked; None: no key has this id."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(api_keys).where(api_keys.c.key_id == key_id))).first()
        return StoredKey(_to_key(row), row.secret_hash) if row is not None else None

    @ends_by_itself
    async def listed(self) -> list[ApiKey]:
        """Return the active keys, then the revoked ones, in each part the newest first; at most `LISTED_MAX`."""
        by = api_keys.c
        query = select(api_keys).order_by(by.revoked_at.is_not(None), by.created_at.desc(), by.key_id)
        async with self._engine.connect() as connection:
            return [_to_key(row) for row in (await connection.execute(query.limit(LISTED_MAX))).all()]

    @ends_by_itself
    async def revoke(self, key_id: str, revoked_by: str, at: datetime) -> ApiKey | None:
        """End a key and free its slot; None: no key has this id.

        Repeating it changes nothing: who revoked it first, and when, stays.
        """
        by = api_keys.c
        async with self._engine.begin() as connection:
            await connection.execute(
                update(api_keys)
                .where(by.key_id == key_id, by.revoked_at.is_(None))
                .values(revoked_at=at, revoked_by=revoked_by)
            )
            row = (await connection.execute(select(api_keys).where(by.key_id == key_id))).first()
        return _to_key(row) if row is not None else None


def _to_key(row: Row[Any]) -> ApiKey:
    return ApiKey.model_validate(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name
