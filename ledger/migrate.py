"""Brings the ledger's database to the current schema: `python -m ledger.migrate`. Safe to repeat.

Migrations lead forward only. A database of another version is refused, with the reason, and stays as it is.
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
from ledger.engine import SQLITE_BEGIN, open_engine

_MIGRATION_LOCK = 4_711_001
"""Key of the advisory lock; any number that nothing else in the database uses."""

BEFORE_0_1_0 = frozenset({"0001", "0002", "0003", "0004", "0005"})
"""Revisions of the schema before the release of 0.1.0. No migration leads from them."""


class MigrationError(Exception):
    """The database was not migrated, and nothing in it was changed. The message says why, in one line."""


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration; everything in it is code, there is no ini file to go astray."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


async def migrate(engine: AsyncEngine) -> None:
    """Apply every migration that is missing, in one transaction. Of several processes one does it, the others wait.

    Raises MigrationError if no migration leads from the database's revision. Any database error is raised as it is.
    """
    async with engine.execution_options(**{SQLITE_BEGIN: "BEGIN IMMEDIATE"}).begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # A migration may take longer than any statement of ours, and so may waiting for another's.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
    config = alembic_config(connection)
    _refuse_unknown(connection, ScriptDirectory.from_config(config))
    command.upgrade(config, "head")


def _refuse_unknown(connection: Connection, scripts: ScriptDirectory) -> None:
    """Raise MigrationError if the database has a revision that these migrations do not contain."""
    known = {script.revision for script in scripts.walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision in BEFORE_0_1_0:
            message = (
                f"this database was made by a version before 0.1.0 (revision {revision}), and no migration leads from "
                "it; name an empty database in SETTLEMENT_DATABASE_URL, or move this one away"
            )
            raise MigrationError(message)
        if revision not in known:
            message = (
                f"this database was made by another version, probably a newer one (revision {revision}); run that "
                "version, or restore a backup from before it was migrated"
            )
            raise MigrationError(message)


async def migrate_url(database_url: str) -> None:
    """Open the database, migrate it, close it. Raises MigrationError, whatever the cause."""
    engine = open_engine(database_url)
    try:
        await migrate(engine)
    except (SQLAlchemyError, OSError) as error:
        raise MigrationError(reason(error)) from error
    finally:
        await engine.dispose()


def main() -> int:
    """Migrate the database that the settings name; 1 with one line on standard error if it was not migrated."""
    keep_files_private()
    try:
        asyncio.run(migrate_url(load_settings().ledger_url))
    except MigrationError as error:
        print(f"the ledger cannot be migrated: {error}", file=sys.stderr)  # noqa: T201 - for a person
        return 1
    return 0


def reason(error: Exception) -> str:
    """Return one line that says why; the driver's text names host, port and user, never a password."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"


if __name__ == "__main__":
    sys.exit(main())
