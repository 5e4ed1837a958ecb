"""Migrates the ledger's database to the current schema: `python -m ledger.migrate`. Repeating it is safe.

Migrations only go forward. A database of an unknown version is refused with the reason, and is not changed.
"""

import asyncio
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from config.process import keep_files_private
from config.settings import load_settings
from ledger.engine import open_engine
from ledger.migrations.grants import RuntimeRoleError, grant_runtime
from ledger.sqlite_engine import SQLITE_BEGIN

_MIGRATION_LOCK = 4_711_001
"""Key of PostgreSQL's advisory lock; any number that nothing else in the database uses."""

BEFORE_0_1_0 = frozenset({"0001", "0002", "0003", "0004", "0005"})
"""Revisions of the schema before the release of 0.1.0. There is no migration from them."""


class MigrationError(Exception):
    """The database was not migrated, and nothing in it was changed. The message says why, in one line."""


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration. It is built in code, so no ini file has to be shipped."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


async def migrate(engine: AsyncEngine, runtime_role: str | None = None) -> None:
    """Apply all missing migrations in one transaction. If several processes do it at once, they wait for each other.

    `runtime_role` is the role of API and worker on PostgreSQL. It gets its rights in the same transaction. None: they
    use the role that migrates.

    Raises MigrationError if there is no migration from the database's revision or if the role cannot be given its
    rights, and any database error.
    """
    async with engine.execution_options(**{SQLITE_BEGIN: "BEGIN IMMEDIATE"}).begin() as connection:
        await connection.run_sync(_upgrade, runtime_role)


def _upgrade(connection: Connection, runtime_role: str | None) -> None:
    if connection.dialect.name == "postgresql":
        # A migration may take longer than the statement timeout, and so may waiting for another process's migration.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
    config = alembic_config(connection)
    _refuse_unknown(connection, ScriptDirectory.from_config(config))
    command.upgrade(config, "head")
    if runtime_role is not None and connection.dialect.name == "postgresql":
        try:
            grant_runtime(connection, runtime_role)
        except RuntimeRoleError as error:
            raise MigrationError(str(error)) from error


def _refuse_unknown(connection: Connection, scripts: ScriptDirectory) -> None:
    """Raise MigrationError if the database has a revision that these migrations do not contain."""
    known = {script.revision for script in scripts.walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision in BEFORE_0_1_0:
            message = (
                f"this database was created by a version before 0.1.0 (revision {revision}), and there is no migration "
                "from it; set SETTLEMENT_DATABASE_URL to an empty database, or move this one away"
            )
            raise MigrationError(message)
        if revision not in known:
            message = (
                f"this database was migrated by another version, probably a newer one (revision {revision}); run that "
                "version, or restore a backup from before it was migrated"
            )
            raise MigrationError(message)


async def migrate_url(database_url: str, runtime_role: str | None = None) -> None:
    """Open the database, migrate it, and close it. Raises MigrationError for every database error."""
    engine = open_engine(database_url)
    try:
        await migrate(engine, runtime_role)
    except (SQLAlchemyError, OSError) as error:
        raise MigrationError(reason(error)) from error
    finally:
        await engine.dispose()


def main() -> int:
    """Migrate the database in the settings. Return 0; or 1, with one line on standard error, if it was not migrated."""
    keep_files_private()
    try:
        settings = load_settings()
        asyncio.run(migrate_url(settings.ledger_url, settings.database_runtime_role))
    except MigrationError as error:
        print(f"the ledger cannot be migrated: {error}", file=sys.stderr)  # noqa: T201 - a command's error output
        return 1
    return 0


def reason(error: Exception) -> str:
    """Return the cause of a database error in one line. It may name host, port and user, never a password."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"


if __name__ == "__main__":
    sys.exit(main())
