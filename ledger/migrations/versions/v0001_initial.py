"""All tables of the first release.

Revision: 0001_initial, after: None
"""

import sqlalchemy as sa
from alembic import op

from ledger.migrations.append_only import refuse_changes
from ledger.migrations.audit import create_audit
from ledger.migrations.broker_statements import create_broker_statements
from ledger.migrations.definitions import index_where, required
from ledger.migrations.external_systems import create_external_systems
from ledger.migrations.reconciliation import create_reconciliation
from ledger.migrations.security_events import create_security_events

revision = "0001_initial"
down_revision = None
branch_labels = None
depends_on = None

OPEN = "state NOT IN ('CANCELLED', 'EXPIRED', 'RESOLVED', 'SETTLED')"
VOID_END = "state IN ('CANCELLED', 'EXPIRED', 'RESOLVED')"


def upgrade() -> None:
    """Apply."""
    _create_settlements()
    _index_settlements()
    create_audit()
    _create_order_sums()
    _create_api_keys()
    _create_batches()
    create_reconciliation()
    create_external_systems()
    create_broker_statements()
    create_security_events()
    refuse_changes()


def _create_settlements() -> None:
    op.create_table(
        "settlements",
        sa.Column("settlement_id", sa.String(length=81), nullable=False),
        sa.Column("request_unique_no", sa.String(length=48), nullable=False),
        sa.Column("input", sa.JSON(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("user_name", sa.String(length=48), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("client", sa.String(length=64), nullable=True),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.Column("system", sa.String(length=32), nullable=False),
        sa.Column("currency", sa.String(length=16), nullable=False),
        sa.Column("amount", sa.String(length=40), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=True),
        sa.Column("cancel_result", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("in_doubt", sa.Boolean(), nullable=False),
        sa.Column("last_rule", sa.String(length=32), nullable=True),
        sa.Column("cancel_intents", sa.JSON(), nullable=False),
        sa.Column("proposal", sa.JSON(), nullable=True),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("acceptance_hash", sa.Text(), nullable=False),
        sa.Column("chain_length", sa.Integer(), nullable=False),
        sa.Column("chain_head", sa.Text(), nullable=False),
        *required(sa.Integer(), "recorded_calls", "recorded_actions", "recorded_state_changes"),
        sa.PrimaryKeyConstraint("settlement_id", name=op.f("pk_settlements")),
    )


def _index_settlements() -> None:
    number = ["request_unique_no"]
    op.create_index("uq_settlements_number_of_company", "settlements", [*number, "company_id"], unique=True)
    index_where("uq_settlements_number_without_company", "settlements", number, "company_id IS NULL", unique=True)
    op.create_index(op.f("ix_settlements_order_id"), "settlements", ["order_id"])
    for column in ("state", "user_name", "currency"):
        op.create_index(op.f(f"ix_settlements_{column}_accepted_at"), "settlements", [column, "accepted_at"])
    in_order = ["accepted_at", "settlement_id"]
    for columns in (in_order, ["company_id", *in_order], ["system", *in_order]):
        op.create_index(op.f(f"ix_settlements_{'_'.join(columns)}"), "settlements", columns)
    for column in ("company_id", "system", "currency"):
        index_where(f"ix_settlements_void_of_{column}", "settlements", [column, "state", *in_order], VOID_END)
    index_where("ix_settlements_cause", "settlements", ["last_rule", "accepted_at"], OPEN)
    index_where("ix_settlements_open", "settlements", ["accepted_at", "settlement_id"], OPEN)
    result = "cancel_result IS NOT NULL"
    index_where("ix_settlements_cancel_result", "settlements", ["cancel_result", "accepted_at"], result)
    op.create_index(
        "ix_settlements_in_doubt",
        "settlements",
        ["accepted_at"],
        sqlite_where=sa.text("in_doubt = 1"),
        postgresql_where=sa.text("in_doubt"),
    )


def _create_order_sums() -> None:
    op.create_table(
        "order_sums",
        sa.Column("limit_name", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=16), nullable=False),
        sa.Column("minutes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("limit_name", "currency", name=op.f("pk_order_sums")),
    )


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(length=32), nullable=False),
        *required(sa.String(length=64), "client", "record_hash", "created_by"),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("companies", sa.JSON(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
    )
    index_where("uq_api_keys_active", "api_keys", ["client", "slot"], "revoked_at IS NULL", unique=True)
    index_where("ix_api_keys_active", "api_keys", ["created_at", "key_id"], "revoked_at IS NULL")
    index_where("ix_api_keys_revoked", "api_keys", ["created_at", "key_id"], "revoked_at IS NOT NULL")


def _create_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=128), nullable=True),
        sa.Column("reason_code", sa.String(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("expected_count", sa.Integer(), nullable=False),
        sa.Column("sums_max", sa.JSON(), nullable=True),
        sa.Column("rate_per_s", sa.Float(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batches")),
    )
    by_key = op.f("uq_batches_operator_idempotency_key")
    op.create_index(by_key, "batches", ["operator", "idempotency_key"], unique=True)
    op.create_index(op.f("ix_batches_created_at_batch_id"), "batches", ["created_at", "batch_id"])
    by_company = op.f("ix_batches_company_id_created_at_batch_id")
    op.create_index(by_company, "batches", ["company_id", "created_at", "batch_id"])
    index_where("ix_batches_running", "batches", ["created_at", "batch_id"], "state = 'RUNNING'")
    op.create_table(
        "batch_items",
        sa.Column("batch_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("settlement_id", sa.String(length=81), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.batch_id"], name=op.f("fk_batch_items_batch_id")),
        sa.ForeignKeyConstraint(
            ["settlement_id"], ["settlements.settlement_id"], name=op.f("fk_batch_items_settlement_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("pk_batch_items")),
    )
    index_where("ix_batch_items_pending", "batch_items", ["batch_id", "position"], "outcome = 'PENDING'")
