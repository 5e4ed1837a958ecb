"""The rights of the runtime role on PostgreSQL: what API and worker may do in a schema that another role owns.

Given anew at every migration, also to tables that a later version adds. SQLite has no roles.
"""

from sqlalchemy import Connection, text

from ledger.migrations.append_only import ACCEPTED, APPEND_ONLY
from ledger.schema import metadata

_PERSONAL = ("input", "user_name", "salt")
"""Columns of an accepted order that only an erasure changes. It is an act of the owner."""

_MEMBER = text("SELECT pg_has_role(rolname, current_user, 'MEMBER') FROM pg_roles WHERE rolname = :role")


class RuntimeRoleError(Exception):
    """The runtime role cannot be given its rights. The message says why, in one line."""


def grant_runtime(connection: Connection, role: str) -> None:
    """Give a role the rights of API and worker, and take every other right on the tables from it.

    On the tables of the audit these are INSERT and SELECT; of a settlement's row only what changes during the
    settlement can be updated. The role can create nothing.

    Raises RuntimeRoleError if there is no such role, or if it can act as the role that migrates.
    """
    member = connection.execute(_MEMBER, {"role": role}).scalar()
    if member is None:
        message = f"there is no role {role}; create it, or correct SETTLEMENT_DATABASE_RUNTIME_ROLE"
        raise RuntimeRoleError(message)
    if member:
        message = f"the role {role} can act as the owner of the tables, so no right can be kept from it"
        raise RuntimeRoleError(message)
    name = connection.dialect.identifier_preparer.quote(role)
    for statement in _statements(name):
        connection.exec_driver_sql(statement)


def _statements(role: str) -> list[str]:
    append_only = ", ".join(sorted(APPEND_ONLY))
    others = ", ".join(sorted(metadata.tables.keys() - APPEND_ONLY.keys() - {"settlements"}))
    settlements = metadata.tables["settlements"].columns
    changing = ", ".join(each.name for each in settlements if each.name not in {*ACCEPTED, *_PERSONAL})
    return [
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}",
        f"REVOKE CREATE ON SCHEMA public FROM {role}",
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT INSERT ON {append_only}, settlements TO {role}",
        f"GRANT UPDATE ({changing}) ON settlements TO {role}",
        f"GRANT INSERT, UPDATE, DELETE ON {others} TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    ]
