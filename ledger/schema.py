"""What the ledger's tables share: names of keys and indexes, how a moment is stored, conditions of partial indexes."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, MetaData, TypeDecorator, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC on both databases; SQLite knows no time zones and would lose it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's own signature
        """Refuse a moment without a zone: nobody could say when it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a moment needs a time zone"
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's own signature
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


OPEN = text("state NOT IN ('CANCELLED', 'EXPIRED', 'RESOLVED', 'SETTLED')")
"""Settlements that have not ended. A query that says it in these words uses the index that has them, and no other can:
SQLite would prefer the index of a column that is compared with `=` or `IN`, and sort."""
OPEN_FINDING = text("status = 'OPEN'")
"""Findings that are open, in the words of their index."""
CLOSED_FINDING = text("status = 'CLOSED'")
"""Findings that an operator has closed, in the words of their index."""
RUNNING = text("batches.state = 'RUNNING'")
"""Batches that have not ended, in the words of their index but for the table's name, which joins need."""
PENDING = text("batch_items.outcome = 'PENDING'")
"""Items of batches without an outcome, likewise."""
ACTIVE, REVOKED = text("revoked_at IS NULL"), text("revoked_at IS NOT NULL")
"""API keys, in the words of their two indexes."""
