"""What operators need: state changes, exposure, API keys, batches, findings; acts with reason code and reference.

Revision: 0002, after: 0001
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _change_settlements()
    _change_acts_and_calls()
    _add_state_changes()
    _add_api_keys()
    _add_batches()
    _add_findings()


def _change_settlements() -> None:
    # Columns are added, never changed: SQLite would copy the table, and its rows are referred to.
    op.add_column("settlements", sa.Column("amount", sa.String(length=40), nullable=False, server_default=""))
    op.add_column("settlements", sa.Column("in_doubt", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("settlements", sa.Column("last_rule", sa.String(length=32), nullable=True))
    op.add_column("settlements", sa.Column("cancel_intents", sa.JSON(), nullable=False, server_default="[]"))
    _fill_amounts()
    calls = "FROM external_calls WHERE settlement_no = settlements.request_unique_no"
    last = f"(SELECT rule {calls} ORDER BY position DESC LIMIT 1)"
    first = f"(SELECT outcome {calls} AND position = 0)"
    op.execute(f"UPDATE settlements SET last_rule = {last}")  # noqa: S608 - fixed text
    op.execute(
        f"UPDATE settlements SET in_doubt = (state = 'ABORTED' OR (state = 'CANCELLING' "  # noqa: S608 - fixed text
        f"AND COALESCE({first}, 'UNKNOWN') <> 'REJECTED'))"
    )
    _index_settlements()


def _index_settlements() -> None:
    for column in ("company_id", "currency", "user_name"):
        op.create_index(op.f(f"ix_settlements_{column}_accepted_at"), "settlements", [column, "accepted_at"])
    op.drop_index(op.f("ix_settlements_user_name"), "settlements")
    op.create_index(
        "ix_settlements_cancel_result",
        "settlements",
        ["cancel_result", "accepted_at"],
        sqlite_where=sa.text("cancel_result IS NOT NULL"),
        postgresql_where=sa.text("cancel_result IS NOT NULL"),
    )
    op.create_index(
        "ix_settlements_in_doubt",
        "settlements",
        ["accepted_at"],
        sqlite_where=sa.text("in_doubt = 1"),
        postgresql_where=sa.text("in_doubt"),
    )
    open_ones = sa.text("state IN ('ABORTED', 'ADJUSTING', 'CANCELLING')")
    op.create_index(
        "ix_settlements_open",
        "settlements",
        ["accepted_at", "request_unique_no"],
        sqlite_where=open_ones,
        postgresql_where=open_ones,
    )


def _fill_amounts() -> None:
    """Copy each amount out of what was accepted, a page at a time."""
    settlements = sa.table(
        "settlements", sa.column("request_unique_no", sa.String), sa.column("amount", sa.String), sa.column("input")
    )
    by = settlements.c
    connection = op.get_bind()
    page = sa.select(by.request_unique_no, by.input).where(by.amount == "").limit(1000)
    while found := connection.execute(page).all():
        for number, accepted in found:
            # SQLite gives the text itself, PostgreSQL's driver the object.
            order = (json.loads(accepted) if isinstance(accepted, str) else accepted)["adjust"]
            connection.execute(
                settlements.update().where(by.request_unique_no == number).values(amount=order["amount"])
            )


def _change_acts_and_calls() -> None:
    op.add_column("operator_actions", sa.Column("reason_code", sa.String(length=32), nullable=True))
    op.execute("ALTER TABLE operator_actions RENAME COLUMN reason TO note")
    op.execute("ALTER TABLE operator_actions RENAME COLUMN evidence TO broker_reference")
    op.add_column("external_calls", sa.Column("phase", sa.String(length=16), nullable=True))


def _add_state_changes() -> None:
    op.create_table(
        "state_changes",
        sa.Column("settlement_no", sa.String(length=48), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["settlement_no"], ["settlements.request_unique_no"], name=op.f("fk_state_changes_settlement_no")
        ),
        sa.PrimaryKeyConstraint("settlement_no", "position", name=op.f("pk_state_changes")),
    )
    # Of what was settled before, the last state is known. What is still open brings its whole story along.
    op.execute(
        "INSERT INTO state_changes (settlement_no, position, state, at, reason) "
        "SELECT request_unique_no, 1, state, updated_at, reason FROM settlements WHERE state <> 'ADJUSTING'"
    )


def _add_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
    )
    op.create_index(
        "uq_api_keys_active",
        "api_keys",
        ["owner", "slot"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )


def _add_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("reason_code", sa.String(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("rate_per_s", sa.Float(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batches")),
    )
    op.create_index(op.f("ix_batches_created_at"), "batches", ["created_at"])
    op.create_table(
        "batch_items",
        sa.Column("batch_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("settlement_no", sa.String(length=48), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.batch_id"], name=op.f("fk_batch_items_batch_id")),
        sa.ForeignKeyConstraint(
            ["settlement_no"], ["settlements.request_unique_no"], name=op.f("fk_batch_items_settlement_no")
        ),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("pk_batch_items")),
    )


def _add_findings() -> None:
    op.create_table(
        "findings",
        sa.Column("finding_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("settlement_no", sa.String(length=48), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("repair", sa.Text(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("finding_id", name=op.f("pk_findings")),
    )
    op.create_index(op.f("ix_findings_status_finding_id"), "findings", ["status", "finding_id"])
    op.create_index(
        "uq_findings_open",
        "findings",
        ["settlement_no", "kind"],
        unique=True,
        sqlite_where=sa.text("status = 'OPEN'"),
        postgresql_where=sa.text("status = 'OPEN'"),
    )
    op.create_table(
        "reconciliation_rounds",
        sa.Column("round_id", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ledger_checked", sa.Integer(), nullable=False),
        sa.Column("temporal_checked", sa.Integer(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("repaired", sa.Integer(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("listed_to", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("round_id", name=op.f("pk_reconciliation_rounds")),
    )
    op.create_index(op.f("ix_reconciliation_rounds_listed_to"), "reconciliation_rounds", ["listed_to"])
    op.create_index(op.f("ix_reconciliation_rounds_ended_at"), "reconciliation_rounds", ["ended_at"])
