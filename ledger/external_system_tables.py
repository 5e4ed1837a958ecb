"""The tables of external systems: pauses, operator actions, and circuit breakers as the workers report them.

A change here needs a migration, as in `ledger.tables`.
"""

from sqlalchemy import Column, Index, Integer, String, Table, Text

from ledger.schema import UtcDateTime, metadata
from settlement.system_names import SYSTEM_NAME_LENGTH_MAX

_SYSTEM = String(SYSTEM_NAME_LENGTH_MAX)

# One row for each external system that is paused.
paused_systems = Table(
    "paused_systems",
    metadata,
    Column("system", _SYSTEM, primary_key=True),
    Column("operator", String(64), nullable=False),
    Column("key_id", String(32)),
    Column("note", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

system_actions = Table(
    "system_actions",
    metadata,
    Column("action_id", Integer, primary_key=True, autoincrement=True),
    Column("system", _SYSTEM, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("operator", String(64), nullable=False),
    Column("key_id", String(32)),
    Column("note", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index(None, "system", "action_id"),
)

breaker_reports = Table(
    "breaker_reports",
    metadata,
    Column("system", _SYSTEM, primary_key=True),
    # A random name that each worker process takes at its start.
    Column("worker", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    # A report that is not repeated expires: its worker has ended, or cannot reach the ledger.
    Column("reported_at", UtcDateTime, nullable=False),
)
