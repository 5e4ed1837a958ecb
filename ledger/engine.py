"""Opens the ledger's database: SQLite in WAL mode or PostgreSQL, depending on the URL."""

import sqlite3
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

STATEMENT_TIMEOUT_S = 5
"""Maximum duration of a statement and of a wait for a lock. Above it, the database raises an error; callers retry."""

_ASYNC_DRIVER = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


def async_url(database_url: str) -> URL:
    """Return the URL with the async driver of this project. Raises ValueError for another kind of database."""
    url = make_url(database_url)
    driver = _ASYNC_DRIVER.get(url.get_backend_name())
    if driver is None:
        message = f"the ledger runs on sqlite and postgresql, not on {url.get_backend_name()}"
        raise ValueError(message)
    return url.set(drivername=driver)


def open_engine(database_url: str) -> AsyncEngine:
    """Return an engine. On both databases, a commit returns only after the data is on disk."""
    url = async_url(database_url)
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, hide_parameters=True, connect_args={"timeout": STATEMENT_TIMEOUT_S})
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    # Set explicitly: the server or the database may have other defaults.
    options = (
        f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout={STATEMENT_TIMEOUT_S}s -c synchronous_commit=on"
    )
    return create_async_engine(
        url,
        # Error texts go into logs and histories; the parameters are personal data.
        hide_parameters=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=STATEMENT_TIMEOUT_S,
        # After a restart of the database, the pool contains dead connections. Check them before use.
        pool_pre_ping=True,
        connect_args={"connect_timeout": STATEMENT_TIMEOUT_S, "options": options},
    )


def reader(engine: AsyncEngine) -> AsyncEngine:
    """Return an engine whose transactions read one consistent state. Transactions of SQLite always do."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ")
    return engine


SQLITE_BEGIN = "sqlite_begin"
"""Execution option: the statement that begins a transaction on SQLite. BEGIN takes the write lock only when needed."""


def _set_up_sqlite(connection: sqlite3.Connection, _: Any) -> None:  # noqa: ANN401 - SQLAlchemy's connection record
    # Python's sqlite3 begins no transaction before SELECT or CREATE. Reads would then be inconsistent, and a failed
    # migration could be applied in part. So we begin transactions ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(SQLITE_BEGIN, "BEGIN"))
