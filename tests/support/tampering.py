"""Changes to a ledger that its triggers refuse: a restored backup, and somebody who owns the database."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"


@asynccontextmanager
async def unguarded(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open one transaction without triggers and foreign keys, as the owner of the database can."""
    async with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            async with connection.begin():
                await connection.execute(text("SET LOCAL session_replication_role = replica"))
                yield connection
            return
        # SQLite changes this setting only outside a transaction.
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.execute("PRAGMA foreign_keys = OFF")
        async with connection.begin():
            triggers = (await connection.execute(text(_TRIGGERS))).all()
            for trigger in triggers:
                await connection.exec_driver_sql(f"DROP TRIGGER {trigger.name}")
            yield connection
            for trigger in triggers:
                await connection.exec_driver_sql(trigger.sql)
        await driver.execute("PRAGMA foreign_keys = ON")


@contextmanager
def unguarded_file(database: sqlite3.Connection) -> Iterator[None]:
    """Remove the triggers of a database file for the statements within the context."""
    triggers = database.execute(_TRIGGERS).fetchall()
    for name, _ in triggers:
        database.execute(f"DROP TRIGGER {name}")
    yield
    for _, definition in triggers:
        database.execute(definition)
