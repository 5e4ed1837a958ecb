"""Ledgers on both databases, each test with a fresh one."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Batches, Ledger, open_engine
from ledger.migrate import migrate_url
from ledger.tables import settlements
from tests.support.ledgers import all_connections_free, migrated_file
from tests.support.orders import new_number
from tests.support.postgres import Postgres, running_postgres

TEMPLATE = "ledger_template"

OpenEngine = Callable[..., AsyncEngine]


async def connections_in_use(engine: AsyncEngine) -> bool:
    """Tell whether any connection is in use."""
    return not await all_connections_free(engine)


async def insert_rows(engine: AsyncEngine, rows: Iterable[dict[str, Any]]) -> list[str]:
    """Insert rows of settlements into the ledger at once and return their numbers."""
    values = list(rows)
    async with engine.begin() as connection:
        await connection.execute(insert(settlements), values)
    return [each["request_unique_no"] for each in values]


def elsewhere(database_url: str, write: Callable[[Ledger], Awaitable[object]]) -> None:
    """Write as another process does, and return after the commit. It may block the event loop of the test."""

    async def open_and_write() -> None:
        engine = open_engine(database_url)
        await write(Ledger(engine))
        await engine.dispose()

    thread = threading.Thread(target=lambda: asyncio.run(open_and_write()))
    thread.start()
    thread.join()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run one PostgreSQL for all tests that want one, from the first of them on."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
async def postgres_template(postgres: Postgres) -> str:
    """Migrate a database once and return its name; the tests' databases are copies."""
    await migrate_url(postgres.create_database(TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="session")
async def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate a database file once and return it; the tests' files are copies."""
    return await migrated_file(tmp_path_factory.mktemp("template"))


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Return a migrated SQLite database."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'ledger.db')}"


@pytest.fixture
def postgresql_url(postgres: Postgres, postgres_template: str) -> Iterator[str]:
    """Return a migrated PostgreSQL database."""
    name = new_number("ledger")
    yield postgres.create_database(name, template=postgres_template)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Run the test once on each database."""
    return str(request.param)


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest) -> str:
    """Return a migrated database of the backend under test."""
    return str(request.getfixturevalue(f"{backend}_url"))


@pytest.fixture
def empty_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return a database of the backend under test that nothing has been done to."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = new_number("empty")
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture
async def open_one() -> AsyncIterator[OpenEngine]:
    """Open engines that are closed when the test ends; several on one URL stand for several processes."""
    opened: list[AsyncEngine] = []

    def remember(database_url: str) -> AsyncEngine:
        opened.append(open_engine(database_url))
        return opened[-1]

    yield remember
    for engine in opened:
        await engine.dispose()


@pytest.fixture
def engine(open_one: OpenEngine, database_url: str) -> AsyncEngine:
    """Open the migrated database."""
    return open_one(database_url)


@pytest.fixture
def ledger(engine: AsyncEngine) -> Ledger:
    """Return a ledger on the migrated database."""
    return Ledger(engine)


@pytest.fixture
def batches(engine: AsyncEngine) -> Batches:
    """Return the record of batches in the migrated database."""
    return Batches(engine)


@pytest.fixture
def ledgers(open_one: OpenEngine, database_url: str) -> list[Ledger]:
    """Return four ledgers on one database, each with connections of its own."""
    return [Ledger(open_one(database_url)) for _ in range(4)]
