"""A simulator, and the reference broker on both databases."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from simulator.server import serving
from tests.support.orders import new_number
from tests.support.postgres import Postgres, running_postgres
from tests.support.reference_broker import Broker, running

NewDatabase = Callable[[], str]


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    """Run one simulator for the tests of a module; yield its base URL."""
    with serving() as url:
        yield url


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Run one PostgreSQL for this module."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewDatabase:
    """Return a function that makes an empty database of each kind and returns its URL."""

    def make() -> str:
        if request.param == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('books') / 'broker.sqlite'}"
        server: Postgres = request.getfixturevalue("postgres")
        return server.create_database(new_number("broker"))

    return make


@pytest.fixture(scope="module")
def database_url(empty_database: NewDatabase) -> str:
    """Return the database that the tests of a module share."""
    return empty_database()


@pytest.fixture(scope="module")
async def broker(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    """Run one broker per database; each test uses its own numbers."""
    async with running(database_url, tmp_path_factory.mktemp("broker")) as started:
        yield started


@pytest.fixture
def number() -> str:
    """Return a number, which is the customer too, that no other test uses."""
    return new_number("B")
