"""Triggers that refuse to change or delete what must stay as it was written. The first migration creates them.

They bind every role, also the owner of the schema and its mistakes. An owner can remove a trigger; the chain of hashes
shows what was changed then (ADR 0027).
"""

from alembic import op

APPEND_ONLY = {
    **dict.fromkeys(
        ("external_calls", "operator_actions", "state_changes"), ("settlement_id", "position", "chain_position")
    ),
    "system_actions": ("action_id",),
    "security_events": ("event_id",),
}
"""Tables whose rows are only inserted, with the columns of their primary key."""

ACCEPTED = (
    *("settlement_id", "request_unique_no", "order_id", "company_id", "client", "key_id", "system", "currency"),
    *("amount", "accepted_at", "acceptance_hash"),
)
"""Columns of `settlements` that never change."""


def refuse_changes() -> None:
    """Create the triggers."""
    (_on_postgresql if op.get_bind().dialect.name == "postgresql" else _on_sqlite)()


def _on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION '% of % is refused: its rows are append-only', TG_OP, TG_TABLE_NAME "
        "USING ERRCODE = 'restrict_violation'; END $$"
    )
    rows, statements = "FOR EACH ROW EXECUTE FUNCTION refuse_change()", "EXECUTE FUNCTION refuse_change()"
    for table in APPEND_ONLY:
        op.execute(f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} {rows}")
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} {statements}")
    op.execute(f"CREATE TRIGGER settlements_accepted BEFORE UPDATE OF {', '.join(ACCEPTED)} ON settlements {rows}")
    op.execute(f"CREATE TRIGGER settlements_kept BEFORE DELETE ON settlements {rows}")
    op.execute(f"CREATE TRIGGER settlements_no_truncate BEFORE TRUNCATE ON settlements {statements}")


def _on_sqlite() -> None:
    for table, key in APPEND_ONLY.items():
        for act in ("UPDATE", "DELETE"):
            _refuse(f"{table}_no_{act.lower()}", act, table)
        # INSERT OR REPLACE would delete a row without a DELETE trigger.
        same = " AND ".join(f"{name} = NEW.{name}" for name in key)
        _refuse(f"{table}_no_replace", "INSERT", table, f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})")  # noqa: S608 - fixed names
    _refuse("settlements_accepted", f"UPDATE OF {', '.join(ACCEPTED)}", "settlements")
    _refuse("settlements_kept", "DELETE", "settlements")


def _refuse(name: str, act: str, table: str, when: str = "") -> None:
    message = f"{act.partition(' ')[0]} of {table} is refused: its rows are append-only"
    op.execute(f"CREATE TRIGGER {name} BEFORE {act} ON {table} {when} BEGIN SELECT RAISE(ABORT, '{message}'); END")
