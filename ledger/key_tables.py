"""The table of API keys. A change here needs a migration, as in `ledger.tables`."""

from sqlalchemy import JSON, Column, Index, Integer, String, Table

from ledger.schema import ACTIVE, REVOKED, UtcDateTime, metadata, only

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(32), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    # A list of companies, or "all".
    Column("companies", JSON, nullable=False),
    Column("expires_at", UtcDateTime),
    # Over the secret, client, role, companies and expiry: a row that is edited no longer has its hash.
    Column("record_hash", String(64), nullable=False),
    # From 1 to ACTIVE_KEYS_MAX: each active key of a client has its own.
    Column("slot", Integer, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("revoked_by", String(64)),
    Index(
        "uq_api_keys_active",
        "client",
        "slot",
        unique=True,
        **only(ACTIVE),
    ),
    Index("ix_api_keys_active", "created_at", "key_id", **only(ACTIVE)),
    Index("ix_api_keys_revoked", "created_at", "key_id", **only(REVOKED)),
)
