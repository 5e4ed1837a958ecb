"""Opens the ledger's database: SQLite in WAL mode or PostgreSQL, depending on the URL."""

from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.postgres_engine import open_postgres
from ledger.sqlite_engine import open_sqlite

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
        return open_sqlite(url, STATEMENT_TIMEOUT_S)
    return open_postgres(url, STATEMENT_TIMEOUT_S)


def reader(engine: AsyncEngine) -> AsyncEngine:
    """Return an engine whose transactions read one consistent state. Transactions of SQLite always do."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ")
    return engine
