"""The tables of reconciliation. The first migration creates them."""

import sqlalchemy as sa
from alembic import op

from ledger.migrations.definitions import index_where, required


def create_reconciliation() -> None:
    """Create the tables of findings, rounds, take-ups and the Temporal namespace that the ledger is bound to."""
    _create_findings()
    _create_reconciliation_rounds()
    _create_temporal_home()
    _create_take_ups()


def _create_findings() -> None:
    op.create_table(
        "findings",
        sa.Column("finding_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("settlement_id", sa.String(length=81), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        *required(sa.Text(), "detail", "repair"),
        *required(sa.DateTime(timezone=True), "found_at", "last_seen_at"),
        *required(sa.Integer(), "rounds", "sightings"),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("amount", sa.String(length=40), nullable=True),
        sa.Column("currency", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("finding_id", name=op.f("pk_findings")),
    )
    for columns in (["status"], ["company_id"], ["company_id", "status"]):
        name = op.f(f"ix_findings_{'_'.join(columns)}_finding_id")
        op.create_index(name, "findings", [*columns, "finding_id"])
    index_where("uq_findings_open", "findings", ["settlement_id", "kind"], "status = 'OPEN'", unique=True)
    index_where("ix_findings_closed", "findings", ["settlement_id", "kind", "finding_id"], "status = 'CLOSED'")
    op.create_table(
        "finding_counts",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_finding_counts")),
    )


def _create_reconciliation_rounds() -> None:
    op.create_table(
        "reconciliation_rounds",
        sa.Column("round_id", sa.String(length=64), nullable=False),
        *required(sa.DateTime(timezone=True), "started_at", "ended_at"),
        *required(sa.Integer(), "ledger_checked", "temporal_checked", "found", "repaired"),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("listed_to", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("round_id", name=op.f("pk_reconciliation_rounds")),
    )
    op.create_index(op.f("ix_reconciliation_rounds_ended_at"), "reconciliation_rounds", ["ended_at"])
    op.create_index(op.f("ix_reconciliation_rounds_listed_to"), "reconciliation_rounds", ["listed_to"])


def _create_temporal_home() -> None:
    op.create_table(
        "temporal_home",
        sa.Column("home_id", sa.Integer(), autoincrement=False, nullable=False),
        *required(sa.String(length=64), "cluster_id", "namespace_id", "adopted_by"),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("adopted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("home_id", name=op.f("pk_temporal_home")),
    )


def _create_take_ups() -> None:
    op.create_table(
        "take_up_counts",
        sa.Column("round_started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("round_started_at", name=op.f("pk_take_up_counts")),
    )
    op.create_table(
        "take_up_allowances",
        sa.Column("allowance_id", sa.Integer(), autoincrement=True, nullable=False),
        *required(sa.Integer(), "count", "used"),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        *required(sa.DateTime(timezone=True), "allowed_at", "expires_at"),
        sa.PrimaryKeyConstraint("allowance_id", name=op.f("pk_take_up_allowances")),
    )
    op.create_index(
        op.f("ix_take_up_allowances_expires_at_allowance_id"), "take_up_allowances", ["expires_at", "allowance_id"]
    )
