"""The tables of paused external systems, the operator actions on them, and the reports of their circuit breakers.

The first migration creates them.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op


def create_external_systems() -> None:
    """Create the three tables."""
    op.create_table("paused_systems", *_action(), sa.PrimaryKeyConstraint("system", name=op.f("pk_paused_systems")))
    op.create_table(
        "system_actions",
        sa.Column("action_id", sa.Integer(), autoincrement=True, nullable=False),
        *_action(),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_system_actions")),
    )
    op.create_index(op.f("ix_system_actions_system_action_id"), "system_actions", ["system", "action_id"])
    op.create_table(
        "breaker_reports",
        sa.Column("system", sa.String(length=32), nullable=False),
        sa.Column("worker", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("system", "worker", name=op.f("pk_breaker_reports")),
    )


def _action() -> list[sa.Column[Any]]:
    return [
        sa.Column("system", sa.String(length=32), nullable=False),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    ]
