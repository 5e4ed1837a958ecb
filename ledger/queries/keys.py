"""Queries on API keys."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, Update, or_, select, update

from ledger.queries.table import registered
from ledger.schema import ACTIVE, REVOKED
from ledger.tables import api_keys

_SAMPLE_TIME = datetime(2026, 1, 5, 12, tzinfo=UTC)


@registered(("k-1",))
def key(key_id: str) -> Select[Any]:
    """Return one key, active or revoked."""
    return select(api_keys).where(api_keys.c.key_id == key_id)


@registered((1000,))
def active_keys(limit: int) -> Select[Any]:
    """Return active keys, the newest first."""
    columns = api_keys.c
    return select(api_keys).where(ACTIVE).order_by(columns.created_at.desc(), columns.key_id.desc()).limit(limit)


@registered((1000,))
def revoked_keys(limit: int) -> Select[Any]:
    """Return revoked keys, the newest first."""
    columns = api_keys.c
    return select(api_keys).where(REVOKED).order_by(columns.created_at.desc(), columns.key_id.desc()).limit(limit)


@registered(("k-1", "ops-1", _SAMPLE_TIME))
def revoke(key_id: str, revoked_by: str, at: datetime) -> Update:
    """Revoke an active key, and erase its hash: nobody can make it valid again by editing the row."""
    columns = api_keys.c
    revoked = update(api_keys).where(columns.key_id == key_id, columns.revoked_at.is_(None))
    return revoked.values(revoked_at=at, revoked_by=revoked_by, record_hash="")


@registered(("k-1", _SAMPLE_TIME, _SAMPLE_TIME))
def note_use(key_id: str, at: datetime, unless_since: datetime) -> Update:
    """Update the last use of a key, unless a use after `unless_since` is recorded."""
    columns = api_keys.c
    is_old = or_(columns.last_used_at.is_(None), columns.last_used_at <= unless_since)
    return update(api_keys).where(columns.key_id == key_id, is_old).values(last_used_at=at)
