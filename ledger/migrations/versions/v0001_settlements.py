"""Settlements, external calls, operator acts.

Revision: 0001, after: None
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "settlements",
        sa.Column("request_unique_no", sa.String(length=48), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("input", sa.JSON(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("user_name", sa.String(length=48), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=16), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=True),
        sa.Column("cancel_result", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("request_unique_no", name=op.f("pk_settlements")),
    )
    with op.batch_alter_table("settlements", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_settlements_accepted_at_request_unique_no"),
            ["accepted_at", "request_unique_no"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_settlements_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_settlements_state_accepted_at"), ["state", "accepted_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_settlements_user_name"), ["user_name"], unique=False)

    op.create_table(
        "external_calls",
        sa.Column("settlement_no", sa.String(length=48), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("operation", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=True),
        sa.Column("request_unique_no", sa.String(length=48), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("msg", sa.Text(), nullable=True),
        sa.Column("cancel_result", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["settlement_no"], ["settlements.request_unique_no"], name=op.f("fk_external_calls_settlement_no")
        ),
        sa.PrimaryKeyConstraint("settlement_no", "position", name=op.f("pk_external_calls")),
    )
    op.create_table(
        "operator_actions",
        sa.Column("settlement_no", sa.String(length=48), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["settlement_no"], ["settlements.request_unique_no"], name=op.f("fk_operator_actions_settlement_no")
        ),
        sa.PrimaryKeyConstraint("settlement_no", "position", name=op.f("pk_operator_actions")),
    )
