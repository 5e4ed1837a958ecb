"""Migrates the ledger's database to the current schema: `python -m ledger.migrate`. Repeating it is safe."""

import asyncio
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from config.files import owner_only
from config.settings import load_settings
from ledger.engine import SQLITE_BEGIN, open_engine

_MIGRATION_LOCK = 4_711_001
"""Key of PostgreSQL's advisory lock; any number that nothing else in the database uses."""


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration. It is built in code, so no ini file has to be shipped."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


async def migrate(engine: AsyncEngine) -> None:
    """Apply all missing migrations in one transaction. If several processes do it at once, they wait for each other."""
    async with engine.execution_options(**{SQLITE_BEGIN: "BEGIN IMMEDIATE"}).begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # A migration may take longer than the statement timeout, and so may waiting for another process's migration.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
    command.upgrade(alembic_config(connection), "head")


async def migrate_url(database_url: str) -> None:
    """Open the database, migrate it, close it."""
    engine = open_engine(database_url)
    try:
        await migrate(engine)
    finally:
        await engine.dispose()


def main() -> int:
    """Migrate the database in the settings. Return 0; or 1, with one line on standard error, if the database fails."""
    owner_only()
    try:
        asyncio.run(migrate_url(load_settings().ledger_url))
    except (SQLAlchemyError, OSError) as error:
        print(f"the ledger cannot be migrated: {reason(error)}", file=sys.stderr)  # noqa: T201 - a command's error output
        return 1
    return 0


def reason(error: Exception) -> str:
    """Return the cause of a database error in one line. It may name host, port and user, never a password."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"


if __name__ == "__main__":
    sys.exit(main())
