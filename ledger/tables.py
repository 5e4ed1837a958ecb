"""The ledger's tables. A change here needs a migration; a test compares the two."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

from contract.fields import UNIQUE_NO_LENGTH_MAX

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

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse a moment without a zone: nobody could say when it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a moment needs a time zone"
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_NO = String(UNIQUE_NO_LENGTH_MAX)

settlements = Table(
    "settlements",
    metadata,
    Column("request_unique_no", _NO, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("input", JSON, nullable=False),
    Column("order_id", BigInteger, nullable=False),
    Column("user_name", String(48), nullable=False),
    Column("company_id", BigInteger),
    Column("currency", String(16), nullable=False),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decision", String(16)),
    Column("cancel_result", String(16)),
    Column("reason", Text, nullable=False),
    Column("decided_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    # Listing goes by acceptance, with the number to tell equal moments apart; each filter needs its own.
    Index(None, "accepted_at", "request_unique_no"),
    Index(None, "state", "accepted_at"),
    Index(None, "order_id"),
    Index(None, "user_name"),
)

external_calls = Table(
    "external_calls",
    metadata,
    Column("settlement_no", _NO, ForeignKey(settlements.c.request_unique_no), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("operation", String(32), nullable=False),
    Column("kind", String(16)),
    Column("request_unique_no", _NO, nullable=False),
    Column("round", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("sent_at", UtcDateTime, nullable=False),
    Column("duration_ms", Integer),
    Column("outcome", String(16), nullable=False),
    Column("rule", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("http_status", Integer),
    Column("code", String(64)),
    Column("msg", Text),
    Column("cancel_result", String(16)),
    # No unique key on the attempt's number: resetting an activity in the Temporal UI counts anew from 1,
    # and a key that such an act can break would keep the whole settlement out of the ledger.
)

operator_acts = Table(
    "operator_acts",
    metadata,
    Column("settlement_no", _NO, ForeignKey(settlements.c.request_unique_no), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("operator", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Text),
    Column("at", UtcDateTime, nullable=False),
)
