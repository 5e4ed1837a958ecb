"""The URL selects the database, and every connection has the required settings."""

from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.engine import STATEMENT_TIMEOUT_S, async_url
from tests.ledger.conftest import OpenEngine

CONNECTIONS_AT_ONCE = 15


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///ledger.db", "sqlite+aiosqlite"),
        ("sqlite:////var/lib/ledger.db", "sqlite+aiosqlite"),
        ("sqlite+pysqlite:///ledger.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///ledger.db", "sqlite+aiosqlite"),
        ("postgresql://ledger@db/ledger", "postgresql+psycopg"),
        ("postgres://ledger@db/ledger", "postgresql+psycopg"),
        ("postgresql+psycopg://ledger@db/ledger", "postgresql+psycopg"),
        ("postgresql+psycopg2://ledger@db/ledger", "postgresql+psycopg"),
        ("postgresql+asyncpg://ledger@db/ledger", "postgresql+psycopg"),
    ],
)
def test_the_url_gets_the_driver_of_this_project(given: str, driver: str) -> None:
    assert async_url(given).drivername == driver


def test_the_rest_of_the_url_is_unchanged() -> None:
    url = async_url("postgresql://led%40ger:p%2Fw%3A@db.internal:6432/led_ger?sslmode=verify-full&sslrootcert=/ca.pem")
    assert (url.username, url.password, url.host, url.port) == ("led@ger", "p/w:", "db.internal", 6432)
    assert (url.database, dict(url.query)) == ("led_ger", {"sslmode": "verify-full", "sslrootcert": "/ca.pem"})
    assert async_url("sqlite:////var/lib/with space.db?mode=ro&uri=true").database == "/var/lib/with space.db"


@pytest.mark.parametrize(
    "refused",
    ["mysql://u:secret@db/x", "mariadb+pymysql://u:secret@db/x", "oracle://u:secret@db/x", "redis://:secret@db/0"],
)
def test_another_kind_of_database_is_rejected_without_showing_the_password(refused: str) -> None:
    with pytest.raises(
        ValueError, match=f"sqlite and postgresql, not on {refused.partition(':')[0].partition('+')[0]}"
    ) as error:
        async_url(refused)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("refused", ["", "ledger.db", "/var/lib/ledger.db", "secret"])
def test_an_invalid_url_is_rejected(refused: str) -> None:
    with pytest.raises(ArgumentError) as error:
        async_url(refused)
    assert "secret" not in str(error.value)


async def settings_of_all_connections(engine: AsyncEngine, statements: list[str]) -> list[tuple[object, ...]]:
    """Return the settings of as many connections as can be open at once."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(engine.connect()) for _ in range(CONNECTIONS_AT_ONCE)]
        return [
            tuple([(await connection.execute(text(statement))).scalar() for statement in statements])
            for connection in connections
        ]


async def test_every_sqlite_connection_is_durable_and_waits_for_locks(sqlite_url: str, open_one: OpenEngine) -> None:
    """WAL; every commit is synced (2 is FULL); foreign keys are on; the wait for a lock is the statement timeout."""
    pragmas = ["journal_mode", "synchronous", "foreign_keys", "busy_timeout"]
    found = await settings_of_all_connections(open_one(sqlite_url), [f"PRAGMA {pragma}" for pragma in pragmas])
    assert found == [("wal", 2, 1, STATEMENT_TIMEOUT_S * 1000)] * CONNECTIONS_AT_ONCE


async def test_every_postgresql_connection_is_durable_and_bounded(postgresql_url: str, open_one: OpenEngine) -> None:
    shown = ["statement_timeout", "lock_timeout", "synchronous_commit", "fsync"]
    found = await settings_of_all_connections(open_one(postgresql_url), [f"SHOW {name}" for name in shown])
    assert found == [(f"{STATEMENT_TIMEOUT_S}s", f"{STATEMENT_TIMEOUT_S}s", "on", "on")] * CONNECTIONS_AT_ONCE


async def test_a_commit_is_on_disk_even_if_the_database_has_another_default(
    postgresql_url: str, open_one: OpenEngine
) -> None:
    engine = open_one(postgresql_url)
    async with engine.begin() as connection:
        await connection.execute(text(f'ALTER DATABASE "{engine.url.database}" SET synchronous_commit = off'))
    await engine.dispose()
    async with engine.connect() as connection:
        assert (await connection.execute(text("SHOW synchronous_commit"))).scalar() == "on"
