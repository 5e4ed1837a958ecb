"""Queries on API keys."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, Update, select, update

from ledger.queries.table import listed
from ledger.schema import ACTIVE, REVOKED
from ledger.tables import api_keys

_AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


@listed(("k-1",))
def key(key_id: str) -> Select[Any]:
    """Return a key, active or revoked."""
    return select(api_keys).where(api_keys.c.key_id == key_id)


@listed((1000,))
def active_keys(limit: int) -> Select[Any]:
    """Return active keys, the newest first."""
    by = api_keys.c
    return select(api_keys).where(ACTIVE).order_by(by.created_at.desc(), by.key_id.desc()).limit(limit)


@listed((1000,))
def revoked_keys(limit: int) -> Select[Any]:
    """Return revoked keys, the newest first."""
    by = api_keys.c
    return select(api_keys).where(REVOKED).order_by(by.created_at.desc(), by.key_id.desc()).limit(limit)


@listed(("k-1", "ops-1", _AT))
def revoke(key_id: str, revoked_by: str, at: datetime) -> Update:
    """End a key that is active."""
    by = api_keys.c
    revoked = update(api_keys).where(by.key_id == key_id, by.revoked_at.is_(None))
    return revoked.values(revoked_at=at, revoked_by=revoked_by)
