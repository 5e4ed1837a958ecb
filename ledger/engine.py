"""Open the ledger's database: SQLite in WAL mode or PostgreSQL, told apart by the URL alone."""

import sqlite3
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

STATEMENT_TIMEOUT_S = 5
"""No statement and no wait for a lock lasts longer; then it is an error and is repeated later."""

_ASYNC_DRIVER = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


def async_url(database_url: str) -> URL:
    """Return the URL with the driver this project uses; raises ValueError for any other database."""
    url = make_url(database_url)
    driver = _ASYNC_DRIVER.get(url.get_backend_name())
    if driver is None:
        message = f"the ledger runs on sqlite and postgresql, not on {url.get_backend_name()}"
        raise ValueError(message)
    return url.set(drivername=driver)


def open_engine(database_url: str) -> AsyncEngine:
    """Return an engine whose every commit is on disk before it returns, on either database."""
    url = async_url(database_url)
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, hide_parameters=True, connect_args={"timeout": STATEMENT_TIMEOUT_S})
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    # Said outright: a server or a database may have another default.
    options = (
        f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout={STATEMENT_TIMEOUT_S}s -c synchronous_commit=on"
    )
    return create_async_engine(
        url,
        # An error's text goes into logs and histories; what was to be written is personal data.
        hide_parameters=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=STATEMENT_TIMEOUT_S,
        # A database that was restarted leaves dead connections in the pool; do not hand those out.
        pool_pre_ping=True,
        connect_args={"connect_timeout": STATEMENT_TIMEOUT_S, "options": options},
    )


def reader(engine: AsyncEngine) -> AsyncEngine:
    """Return the engine for reads by several statements, which must see the same moment. SQLite's always do."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ")
    return engine


SQLITE_BEGIN = "sqlite_begin"
"""Execution option: how a transaction begins on SQLite. Plain BEGIN takes a lock when it needs one."""


def _set_up_sqlite(connection: sqlite3.Connection, _: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own record
    # Python's driver would begin transactions when it thinks fit: not before a SELECT, nor before a
    # CREATE. Then a read sees several moments, and half a migration can stay. So we begin them.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(SQLITE_BEGIN, "BEGIN"))
