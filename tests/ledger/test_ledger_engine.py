"""Opening: the URL alone says which database, and every single connection is set up for it."""

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


def test_all_else_in_the_url_stays_as_it_was() -> None:
    url = async_url("postgresql://led%40ger:p%2Fw%3A@db.internal:6432/led_ger?sslmode=verify-full&sslrootcert=/ca.pem")
    assert (url.username, url.password, url.host, url.port) == ("led@ger", "p/w:", "db.internal", 6432)
    assert (url.database, dict(url.query)) == ("led_ger", {"sslmode": "verify-full", "sslrootcert": "/ca.pem"})
    assert async_url("sqlite:////var/lib/with space.db?mode=ro&uri=true").database == "/var/lib/with space.db"


@pytest.mark.parametrize(
    "refused",
    ["mysql://u:secret@db/x", "mariadb+pymysql://u:secret@db/x", "oracle://u:secret@db/x", "redis://:secret@db/0"],
)
def test_another_database_is_refused_by_name_and_without_its_password(refused: str) -> None:
    with pytest.raises(
        ValueError, match=f"sqlite and postgresql, not on {refused.partition(':')[0].partition('+')[0]}"
    ) as error:
        async_url(refused)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("refused", ["", "ledger.db", "/var/lib/ledger.db", "secret"])
def test_what_is_no_url_is_refused(refused: str) -> None:
    with pytest.raises(ArgumentError) as error:
        async_url(refused)
    assert "secret" not in str(error.value)


async def settings_of_all(engine: AsyncEngine, statements: list[str]) -> list[tuple[object, ...]]:
    """Ask as many connections as may be open at once for their settings."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(engine.connect()) for _ in range(CONNECTIONS_AT_ONCE)]
        return [
            tuple([(await connection.execute(text(statement))).scalar() for statement in statements])
            for connection in connections
        ]


async def test_every_sqlite_connection_is_durable_and_patient(sqlite_url: str, open_one: OpenEngine) -> None:
    """WAL; each commit synced (2 is FULL); foreign keys on; as long a wait for a lock as anywhere."""
    pragmas = ["journal_mode", "synchronous", "foreign_keys", "busy_timeout"]
    found = await settings_of_all(open_one(sqlite_url), [f"PRAGMA {pragma}" for pragma in pragmas])
    assert found == [("wal", 2, 1, STATEMENT_TIMEOUT_S * 1000)] * CONNECTIONS_AT_ONCE


async def test_every_postgresql_connection_is_durable_and_bounded(postgresql_url: str, open_one: OpenEngine) -> None:
    shown = ["statement_timeout", "lock_timeout", "synchronous_commit", "fsync"]
    found = await settings_of_all(open_one(postgresql_url), [f"SHOW {name}" for name in shown])
    assert found == [(f"{STATEMENT_TIMEOUT_S}s", f"{STATEMENT_TIMEOUT_S}s", "on", "on")] * CONNECTIONS_AT_ONCE


async def test_a_commit_is_on_disk_whatever_the_database_has_as_its_default(
    postgresql_url: str, open_one: OpenEngine
) -> None:
    engine = open_one(postgresql_url)
    async with engine.begin() as connection:
        await connection.execute(text(f'ALTER DATABASE "{engine.url.database}" SET synchronous_commit = off'))
    await engine.dispose()
    async with engine.connect() as connection:
        assert (await connection.execute(text("SHOW synchronous_commit"))).scalar() == "on"
