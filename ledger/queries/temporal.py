"""Queries on the Temporal that the ledger belongs to, and on the limits of what is started there anew."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Delete, Select, Update, delete, select, update

from ledger.queries.table import listed
from ledger.tables import take_up_allowances, take_up_counts, temporal_home

_AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


@listed(())
def home() -> Select[Any]:
    """Return the Temporal that the ledger belongs to."""
    return select(temporal_home).where(temporal_home.c.home_id == 1)


@listed(("namespace-1", {"namespace": "default"}))
def move_home(from_namespace_id: str, values: dict[str, Any]) -> Update:
    """Have the ledger belong to another Temporal, if it still belongs to the one that is left."""
    by = temporal_home.c
    moved = update(temporal_home).where(by.home_id == 1, by.namespace_id == from_namespace_id)
    return moved.values(values).returning(by.home_id)


@listed((_AT,))
def use_allowance(now: datetime) -> Update:
    """Use one take-up of the oldest allowance that is valid and not used up."""
    by = take_up_allowances.c
    valid = select(by.allowance_id).where(by.expires_at > now, by.used < by.count)
    # Not `min`: SQLite would go through all that have expired, by their ids.
    oldest = valid.order_by(by.expires_at, by.allowance_id).limit(1).scalar_subquery()
    used = update(take_up_allowances).where(by.allowance_id == oldest, by.used < by.count)
    return used.values(used=by.used + 1).returning(by.allowance_id)


@listed((17,))
def return_to_allowance(allowance_id: int) -> Update:
    """Give back one take-up of an allowance."""
    by = take_up_allowances.c
    return update(take_up_allowances).where(by.allowance_id == allowance_id, by.used > 0).values(used=by.used - 1)


@listed((_AT,))
def return_to_round(round_started_at: datetime) -> Update:
    """Give back one take-up of a round."""
    by = take_up_counts.c
    return update(take_up_counts).where(by.round_started_at == round_started_at, by.used > 0).values(used=by.used - 1)


@listed((_AT,))
def forget_counts(before: datetime) -> Delete:
    """Delete the counts of rounds that started before a moment."""
    return delete(take_up_counts).where(take_up_counts.c.round_started_at < before)
