"""After a crash of the database or of a process, every acknowledged write is in the ledger."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger
from ledger.migrate import migrate
from tests.ledger.conftest import OpenEngine
from tests.ledger.racer import Racer
from tests.ledger.samples import accepted, growing
from tests.support.ledgers import all_connections_free
from tests.support.orders import id_of, new_number, settlement
from tests.support.polling import until
from tests.support.postgres import Postgres, running_postgres

WRITERS = 15


@pytest.fixture(scope="module")
def mortal_postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL for the tests that stop and kill it."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def engine(mortal_postgres: Postgres, open_one: OpenEngine) -> AsyncEngine:
    """Open a migrated database on the mortal server, with one connection per writer."""
    opened = open_one(mortal_postgres.create_database(new_number("mortal")))
    await migrate(opened)
    await asyncio.gather(*(Ledger(opened).check() for _ in range(WRITERS)))
    return opened


async def test_a_stopped_server_is_an_error_and_the_engine_reconnects_after_a_restart(
    ledger: Ledger, mortal_postgres: Postgres
) -> None:
    """The same engine reconnects without an error in between, although all its connections are broken."""
    order = settlement()
    await ledger.record(order, growing(1))
    mortal_postgres.stop()
    for call in (
        ledger.check(),
        ledger.find(id_of("N-1")),
        ledger.accept(order, accepted()),
        ledger.record(order, growing(2)),
    ):
        async with asyncio.timeout(3):
            with pytest.raises(OperationalError):
                await call
    mortal_postgres.start()
    assert all(await asyncio.gather(*(ledger.record(settlement(), growing(1)) for _ in range(WRITERS))))
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert found.snapshot == growing(1)


async def test_broken_connections_in_the_pool_are_replaced_without_an_error(
    ledger: Ledger, mortal_postgres: Postgres
) -> None:
    """Such connections occur after a failover or an idle timeout of a firewall."""
    mortal_postgres.execute(
        sql.SQL("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname <> current_database()")
    )
    assert all(await asyncio.gather(*(ledger.record(settlement(), growing(1)) for _ in range(WRITERS))))


@contextmanager
def suspended(server: Postgres, database: str) -> Iterator[None]:
    """Suspend the server processes of a database's connections."""
    with psycopg.connect(server.url()) as connection:
        asked = connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", [database])
        pids = [pid for (pid,) in asked.fetchall()]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_a_server_that_stops_responding_is_a_timeout(
    mortal_postgres: Postgres, open_one: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections stay open, as with a broken network or a frozen host, so server timeouts do not help."""
    monkeypatch.setattr("ledger.engine.STATEMENT_TIMEOUT_S", 1)
    engine = open_one(mortal_postgres.create_database(new_number("silent")))
    await migrate(engine)
    ledger = Ledger(engine)
    try:
        with suspended(mortal_postgres, str(engine.url.database)):
            async with asyncio.timeout(8):
                with pytest.raises((SQLAlchemyError, OSError)):
                    await ledger.find(id_of("N-1"))
    finally:
        await until(lambda: all_connections_free(engine))
    assert await ledger.find(id_of("N-1")) is None


async def test_writes_acknowledged_by_a_killed_postgresql_survive(ledger: Ledger, mortal_postgres: Postgres) -> None:
    """It is killed during many writes. Each write either succeeded or raised an error."""
    acknowledged: list[str] = []
    enough = asyncio.Event()

    async def write_on() -> None:
        while True:
            order = settlement()
            await ledger.accept(order, accepted())
            await ledger.record(order, growing(2))
            acknowledged.append(order.adjust.requestUniqueNo)
            if len(acknowledged) > WRITERS * 2:
                enough.set()

    writers = [asyncio.create_task(write_on()) for _ in range(WRITERS)]
    async with asyncio.timeout(20):
        await enough.wait()
    mortal_postgres.kill9()
    async with asyncio.timeout(20):
        ends = await asyncio.gather(*writers, return_exceptions=True)
    assert all(isinstance(end, SQLAlchemyError | OSError) for end in ends), ends
    mortal_postgres.start()
    for number in acknowledged:
        found = await ledger.find(id_of(number))
        assert found is not None, number
        assert found.snapshot == growing(2)


@pytest.mark.parametrize("at_once", [1, 50])
async def test_writes_acknowledged_to_a_killed_process_are_in_its_database_file(
    sqlite_url: str, open_one: OpenEngine, at_once: int
) -> None:
    """With 50 at once, it is killed in the middle of a group of writes."""
    racer = await Racer.start(sqlite_url, prefix := new_number("killed"), 1_000_000, at_once)
    racer.go()
    told = [await racer.answer() for _ in range(30 * at_once)]
    told += await racer.kill9()
    ledger = Ledger(open_one(sqlite_url))
    assert told == [(f"{prefix}-{index}", True) for index in range(len(told))]
    for index in range(len(told)):
        assert await ledger.find(id_of(f"{prefix}-{index}")) is not None
    _, is_new = await ledger.accept(settlement(requestUniqueNo=f"{prefix}-{len(told) + at_once}"), accepted())
    assert is_new
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
