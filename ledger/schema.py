"""Shared parts of the ledger's tables: names of keys and indexes, the time type, conditions of partial indexes."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, MetaData, String, TextClause, TypeDecorator, text

from settlement.ids import SETTLEMENT_ID_LENGTH_MAX, SettlementId

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC on both databases. SQLite has no time zones, so the zone is added on read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's own signature
        """Convert to UTC. Raises ValueError for a time without a time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "the time has no time zone"
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's own signature
        """Return the time with the zone UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class SettlementIdText(TypeDecorator[SettlementId]):
    """The id of a settlement as text, such as `alpha:ORD-1`.

    None is stored as the empty text, because nulls are never equal. A condition takes the empty text for None.
    """

    impl = String(SETTLEMENT_ID_LENGTH_MAX)
    cache_ok = True

    def process_bind_param(self, value: SettlementId | str | None, dialect: Dialect) -> str:  # noqa: ARG002 - SQLAlchemy's own signature
        """Return the text."""
        return "" if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> SettlementId | None:  # noqa: ARG002 - SQLAlchemy's own signature
        """Return the id. It is not validated, so that one invalid row does not make a whole page unreadable."""
        if not value:
            return None
        system, _, number = value.partition(":")
        return SettlementId(system, number)


OPEN = text("state NOT IN ('CANCELLED', 'EXPIRED', 'RESOLVED', 'SETTLED')")
"""Open settlements. A query with exactly this text uses the partial index with the same text. With `=` or `IN`, SQLite
would prefer another index, and sort."""
VOID_END = text("state IN ('CANCELLED', 'EXPIRED', 'RESOLVED')")
"""Settlements that have ended and are void, in the same text as their partial indexes. Few settlements
end like this."""
OPEN_FINDING = text("status = 'OPEN'")
"""Open findings, in the same text as their partial index."""
CLOSED_FINDING = text("status = 'CLOSED'")
"""Findings that an operator has closed, in the same text as their partial index."""
UNFINISHED = text("state NOT IN ('DONE', 'EXPIRED', 'REFUSED')")
"""Imports of broker statements that have not ended, in the same text as their partial index."""
RUNNING = text("batches.state = 'RUNNING'")
"""RUNNING batches, in the same text as their partial index plus the table name, which joins need."""
PENDING = text("batch_items.outcome = 'PENDING'")
"""Batch items without an outcome, in the same way."""
ACTIVE, REVOKED = text("revoked_at IS NULL"), text("revoked_at IS NOT NULL")
"""Active and revoked API keys, in the same text as their two partial indexes."""


def only(condition: TextClause) -> dict[str, Any]:
    """Return the options of a partial index: it contains only the rows that meet a condition."""
    return {"sqlite_where": condition, "postgresql_where": condition}
