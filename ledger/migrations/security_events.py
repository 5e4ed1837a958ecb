"""The table of security events. The first migration creates it."""

import sqlalchemy as sa
from alembic import op


def create_security_events() -> None:
    """Create the table."""
    op.create_table(
        "security_events",
        sa.Column("event_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=True),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("row_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_security_events")),
    )
    for columns in (["kind", "event_id"], ["at", "event_id"]):
        op.create_index(op.f(f"ix_security_events_{'_'.join(columns)}"), "security_events", columns)
