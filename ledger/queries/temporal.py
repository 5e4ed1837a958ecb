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
    """Use one take-up of the allowance that expires first and is not used up."""
    columns = take_up_allowances.c
    valid = select(columns.allowance_id).where(columns.expires_at > now, columns.used < columns.count)
    # ORDER BY, not min(): with min(), SQLite would read all expired allowances in order of their ids.
    oldest = valid.order_by(columns.expires_at, columns.allowance_id).limit(1).scalar_subquery()
    used = update(take_up_allowances).where(columns.allowance_id == oldest, columns.used < columns.count)
    return used.values(used=columns.used + 1).returning(columns.allowance_id)


@registered((17,))
def return_to_allowance(allowance_id: int) -> Update:
    """Give back one take-up of an allowance."""
    columns = take_up_allowances.c
    return (
        update(take_up_allowances)
        .where(columns.allowance_id == allowance_id, columns.used > 0)
        .values(used=columns.used - 1)
    )


@registered((_SAMPLE_TIME,))
def return_to_round(round_started_at: datetime) -> Update:
    """Give back one take-up of a round."""
    columns = take_up_counts.c
    return (
        update(take_up_counts)
        .where(columns.round_started_at == round_started_at, columns.used > 0)
        .values(used=columns.used - 1)
    )


@registered((_SAMPLE_TIME,))
def delete_counts(before: datetime) -> Delete:
    """Delete the counts of rounds that started before `before`."""
    return delete(take_up_counts).where(take_up_counts.c.round_started_at < before)
