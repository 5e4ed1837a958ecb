"""Indexes for every recurring query; columns for batches; the Temporal that the ledger belongs to; limits of take-ups.

Revision: 0003, after: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.drop_index("ix_settlements_open", "settlements")
    ended = "'CANCELLED', 'EXPIRED', 'RESOLVED', 'SETTLED'"
    _index("ix_settlements_cause", "settlements", ["last_rule", "accepted_at"], f"state NOT IN ({ended})")
    _index("ix_settlements_open", "settlements", ["accepted_at", "request_unique_no"], f"state NOT IN ({ended})")
    _index("ix_api_keys_active", "api_keys", ["created_at", "key_id"], "revoked_at IS NULL")
    _index("ix_api_keys_revoked", "api_keys", ["created_at", "key_id"], "revoked_at IS NOT NULL")
    op.drop_index(op.f("ix_batches_created_at"), "batches")
    op.create_index(op.f("ix_batches_created_at_batch_id"), "batches", ["created_at", "batch_id"])
    _index("ix_batches_running", "batches", ["created_at", "batch_id"], "state = 'RUNNING'")
    _index("ix_batch_items_pending", "batch_items", ["batch_id", "position"], "outcome = 'PENDING'")
    _count_findings()
    _change_batches()
    _add_temporal_home()
    _add_take_ups()


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _count_findings() -> None:
    op.add_column("findings", sa.Column("sightings", sa.Integer(), nullable=False, server_default="1"))
    op.create_table(
        "finding_counts",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_finding_counts")),
    )
    op.execute("INSERT INTO finding_counts (kind, total) SELECT kind, count(*) FROM findings GROUP BY kind")


def _change_batches() -> None:
    op.add_column("batches", sa.Column("idempotency_key", sa.String(length=128), nullable=True))
    # As many as a batch has items: it does not begin with another number.
    op.add_column("batches", sa.Column("expected_count", sa.Integer(), nullable=False, server_default="0"))
    items = "(SELECT count(*) FROM batch_items WHERE batch_items.batch_id = batches.batch_id)"
    op.execute(f"UPDATE batches SET expected_count = {items}")  # noqa: S608 - fixed text
    # An index, not a constraint: SQLite would copy the table, and its rows are referred to.
    op.create_index(
        op.f("uq_batches_operator_idempotency_key"), "batches", ["operator", "idempotency_key"], unique=True
    )
    op.add_column("operator_actions", sa.Column("batch_id", sa.String(length=36), nullable=True))
    _index("ix_operator_actions_batch", "operator_actions", ["batch_id", "settlement_no"], "batch_id IS NOT NULL")


def _add_temporal_home() -> None:
    op.create_table(
        "temporal_home",
        sa.Column("home_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cluster_id", sa.String(length=64), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("namespace_id", sa.String(length=64), nullable=False),
        sa.Column("adopted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("adopted_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("home_id", name=op.f("pk_temporal_home")),
    )


def _add_take_ups() -> None:
    op.create_table(
        "take_up_counts",
        sa.Column("round_started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("round_started_at", name=op.f("pk_take_up_counts")),
    )
    op.create_table(
        "take_up_allowances",
        sa.Column("allowance_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("allowed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("allowance_id", name=op.f("pk_take_up_allowances")),
    )
    op.create_index(
        op.f("ix_take_up_allowances_expires_at_allowance_id"), "take_up_allowances", ["expires_at", "allowance_id"]
    )
