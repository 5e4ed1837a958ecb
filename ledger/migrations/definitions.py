"""Shorter definitions of columns and indexes for the migrations."""

from typing import Any

import sqlalchemy as sa
from alembic import op


def index_where(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    """Create an index over the rows that meet a condition."""
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def required(kind: sa.types.TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    """Return required columns of one type."""
    return [sa.Column(name, kind, nullable=False) for name in names]
