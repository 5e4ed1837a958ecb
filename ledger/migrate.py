"""Bring the ledger's database to the current schema: `python -m ledger.migrate`. Safe to repeat."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.engine import open_engine


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration; everything in it is code, there is no ini file to go astray."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


async def migrate(engine: AsyncEngine) -> None:
    """Apply every migration that is missing, in one transaction."""
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), "head"))


async def migrate_url(database_url: str) -> None:
    """Open the database, migrate it, close it."""
    engine = open_engine(database_url)
    try:
        await migrate(engine)
    finally:
        await engine.dispose()


def main() -> None:
    """Migrate the database that the settings name."""
    from config.settings import load_settings  # noqa: PLC0415 - only a command needs settings, the ledger does not

    asyncio.run(migrate_url(load_settings().ledger_url))


if __name__ == "__main__":
    main()
