"""The tables of paused external systems and the operator actions on them, as the first migration creates them."""

from typing import Any

import sqlalchemy as sa
from alembic import op


def create_external_systems() -> None:
    """Create the two tables."""
    op.create_table("paused_systems", *_action(), sa.PrimaryKeyConstraint("system", name=op.f("pk_paused_systems")))
    op.create_table(
        "system_actions",
        sa.Column("action_id", sa.Integer(), autoincrement=True, nullable=False),
        *_action(),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_system_actions")),
    )
    op.create_index(op.f("ix_system_actions_system_action_id"), "system_actions", ["system", "action_id"])


def _action() -> list[sa.Column[Any]]:
    return [
        sa.Column("system", sa.String(length=32), nullable=False),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    ]
