"""Indexes for every recurring query; a counter of findings; the idempotency key of a batch and the batch of an act.

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
    op.create_index(op.f("ix_settlements_last_rule_accepted_at"), "settlements", ["last_rule", "accepted_at"])
    op.drop_index("ix_settlements_open", "settlements")
    ended = "'CANCELLED', 'EXPIRED', 'RESOLVED', 'SETTLED'"
    _index("ix_settlements_open", "settlements", ["accepted_at", "request_unique_no"], f"state NOT IN ({ended})")
    _index("ix_api_keys_active", "api_keys", ["created_at", "key_id"], "revoked_at IS NULL")
    _index("ix_api_keys_revoked", "api_keys", ["created_at", "key_id"], "revoked_at IS NOT NULL")
    op.drop_index(op.f("ix_batches_created_at"), "batches")
    op.create_index(op.f("ix_batches_created_at_batch_id"), "batches", ["created_at", "batch_id"])
    _index("ix_batches_running", "batches", ["created_at", "batch_id"], "state = 'RUNNING'")
    _index("ix_batch_items_pending", "batch_items", ["batch_id", "position"], "outcome = 'PENDING'")
    _count_findings()
    _change_batches()


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
    op.add_column("operator_acts", sa.Column("batch_id", sa.String(length=36), nullable=True))
    _index("ix_operator_acts_batch", "operator_acts", ["batch_id", "settlement_no"], "batch_id IS NOT NULL")
