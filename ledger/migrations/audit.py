"""The three tables of the audit, whose rows are chained by hashes. The first migration creates them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from ledger.migrations.definitions import index_where, required


def create_audit() -> None:
    """Create the tables of external calls, operator actions and state changes."""
    _create_external_calls()
    _create_operator_actions()
    _create_state_changes()


def _chained(*, salted: bool) -> list[sa.Column[Any]]:
    return [
        sa.Column("settlement_id", sa.String(length=81), nullable=False),
        *required(sa.Integer(), "position", "chain_position"),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        *(required(sa.Text(), "salt") if salted else []),
        sa.Column("row_hash", sa.Text(), nullable=False),
    ]


def _keys(table: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(
            ["settlement_id"], ["settlements.settlement_id"], name=op.f(f"fk_{table}_settlement_id")
        ),
        sa.PrimaryKeyConstraint("settlement_id", "position", "chain_position", name=op.f(f"pk_{table}")),
    ]


def _index_recorded_at(table: str) -> None:
    columns = ["recorded_at", "settlement_id", "chain_position"]
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)


def _create_external_calls() -> None:
    op.create_table(
        "external_calls",
        *_chained(salted=True),
        sa.Column("operation", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=True),
        sa.Column("request_unique_no", sa.String(length=48), nullable=False),
        *required(sa.Integer(), "round", "attempt"),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("retry_after_s", sa.Integer(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("msg", sa.Text(), nullable=True),
        sa.Column("biz_code", sa.String(length=64), nullable=True),
        sa.Column("tm", sa.BigInteger(), nullable=True),
        sa.Column("trace", sa.String(length=128), nullable=True),
        sa.Column("msg_params", sa.Text(), nullable=True),
        sa.Column("data", sa.Text(), nullable=True),
        sa.Column("ok", sa.Boolean(), nullable=True),
        sa.Column("fail", sa.Boolean(), nullable=True),
        sa.Column("phase", sa.String(length=16), nullable=True),
        sa.Column("cancel_result", sa.String(length=16), nullable=True),
        *_keys("external_calls"),
    )
    _index_recorded_at("external_calls")


def _create_operator_actions() -> None:
    op.create_table(
        "operator_actions",
        *_chained(salted=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("operator", sa.String(length=128), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.Column("reason_code", sa.String(length=32), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("broker_reference", sa.Text(), nullable=True),
        sa.Column("proposal_no", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("batch_id", sa.String(length=36), nullable=True),
        *_keys("operator_actions"),
    )
    _index_recorded_at("operator_actions")
    index_where("ix_operator_actions_batch", "operator_actions", ["batch_id", "settlement_id"], "batch_id IS NOT NULL")


def _create_state_changes() -> None:
    op.create_table(
        "state_changes",
        *_chained(salted=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        *_keys("state_changes"),
    )
    _index_recorded_at("state_changes")
