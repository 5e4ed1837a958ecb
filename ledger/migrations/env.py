"""How Alembic reaches the database: over the connection that `ledger.migrate` hands it."""

from typing import Any, Literal

from alembic import context

from ledger.schema import UtcDateTime, metadata


def render_item(kind: str, item: Any, _: Any) -> str | Literal[False]:  # noqa: ANN401 - Alembic's own signature
    """Write our type as what it is in the database: an old migration must not follow today's code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot change a column in place; Alembic then copies the table.
    render_as_batch=True,
    compare_type=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
