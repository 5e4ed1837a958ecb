"""The table of security events. A change here needs a migration, as in `ledger.tables`."""

from sqlalchemy import Column, Index, Integer, String, Table, Text

from ledger.schema import UtcDateTime, metadata

security_events = Table(
    "security_events",
    metadata,
    Column("event_id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(32), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("client", String(64)),
    Column("key_id", String(32)),
    Column("subject", String(128), nullable=False),
    Column("detail", Text, nullable=False),
    # Over the columns above without the id, which the database chooses.
    Column("row_hash", Text, nullable=False),
    # To find the last recorded limits.
    Index(None, "kind", "event_id"),
    # For the daily anchors of the audit.
    Index(None, "at", "event_id"),
)
