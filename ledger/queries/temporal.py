"""Queries on the Temporal namespace that the ledger is bound to, and on the limits of take-ups."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Delete, Select, Update, delete, select, update

from ledger.queries.table import registered
from ledger.tables import take_up_allowances, take_up_counts, temporal_home

_SAMPLE_TIME = datetime(2026, 1, 5, 12, tzinfo=UTC)


@registered(())
def binding() -> Select[Any]:
    """Return the Temporal namespace that the ledger is bound to."""
    return select(temporal_home).where(temporal_home.c.home_id == 1)


@registered(("namespace-1", {"namespace": "default"}))
def move_binding(from_namespace_id: str, values: dict[str, Any]) -> Update:
    """Bind the ledger to another Temporal namespace, if it is still bound to `from_namespace_id`."""
    columns = temporal_home.c
    moved = update(temporal_home).where(columns.home_id == 1, columns.namespace_id == from_namespace_id)
    return moved.values(values).returning(columns.home_id)


@registered((_SAMPLE_TIME,))
def use_allowance(now: datetime) -> Update:
    """Use one take-up of the oldest allowance that is valid and not used up."""
    columns = take_up_allowances.c
    valid = select(columns.allowance_id).where(columns.expires_at > now, columns.used < columns.count)
    # Not `min`: SQLite would go through all that have expired, by their ids.
    oldest = valid.order_by(columns.expires_at, columns.allowance_id).limit(1).scalar_subquery()
    used = update(take_up_allowances).where(columns.allowance_id == oldest, columns.used < columns.count)
    return used.values(used=columns.used + 1).returning(columns.allowance_id)


@registered((_SAMPLE_TIME,))
def forget_counts(before: datetime) -> Delete:
    """Delete the counts of rounds that started before a moment."""
    return delete(take_up_counts).where(take_up_counts.c.round_started_at < before)
