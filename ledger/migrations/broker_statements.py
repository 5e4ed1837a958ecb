"""The tables of broker statements, as the first migration creates them."""

import sqlalchemy as sa
from alembic import op


def create_broker_statements() -> None:
    """Create the three tables."""
    op.create_table(
        "broker_statements",
        sa.Column("statement_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("system", sa.String(length=32), nullable=False),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in (
                *("margin_s", "differences_max", "line_count", "revision", "lines_received", "lines_compared"),
                *("settlements_compared", "open_settlements", "undecided", "differences"),
                *("findings_new", "findings_open", "findings_closed"),
            )
        ),
        sa.Column("number_after", sa.String(length=48), nullable=False),
        sa.Column("accepted_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_broker_statements")),
    )
    unfinished = "state NOT IN ('DONE', 'EXPIRED', 'REFUSED')"
    columns = ["digest", "system", "starts_at", "ends_at", "margin_s", "differences_max", "line_count"]
    op.create_index(
        "uq_broker_statements_unfinished",
        "broker_statements",
        columns,
        unique=True,
        sqlite_where=sa.text(unfinished),
        postgresql_where=sa.text(unfinished),
    )
    op.create_table(
        "broker_statement_lines",
        sa.Column("statement_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(length=48), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("amount", sa.String(length=40), nullable=False),
        sa.Column("currency", sa.String(length=16), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["broker_statements.statement_id"], name=op.f("fk_broker_statement_lines_statement_id")
        ),
        sa.PrimaryKeyConstraint("statement_id", "number", "position", name=op.f("pk_broker_statement_lines")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "broker_statement_differences",
        sa.Column("statement_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(length=48), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("amount", sa.String(length=40), nullable=False),
        sa.Column("currency", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"],
            ["broker_statements.statement_id"],
            name=op.f("fk_broker_statement_differences_statement_id"),
        ),
        sa.PrimaryKeyConstraint("statement_id", "number", "kind", name=op.f("pk_broker_statement_differences")),
    )
