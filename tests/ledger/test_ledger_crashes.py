"""Crashes: what was acknowledged is there afterwards, what was not raised an error, and all goes on by itself."""

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
from tests.ledger.conftest import OpenEngine, at_rest
from tests.ledger.racer import Racer
from tests.ledger.samples import accepted, growing
from tests.support.orders import new_number, settlement
from tests.support.polling import until
from tests.support.postgres import Postgres, running_postgres

WRITERS = 15


@pytest.fixture(scope="module")
def mortal() -> Iterator[Postgres]:
    """Run a PostgreSQL that may be stopped and killed; the others go on with theirs."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def engine(mortal: Postgres, open_one: OpenEngine) -> AsyncEngine:
    """Open a migrated database on the mortal server, with as many connections as writers."""
    opened = open_one(mortal.create_database(new_number("mortal")))
    await migrate(opened)
    await asyncio.gather(*(Ledger(opened).check() for _ in range(WRITERS)))
    return opened


async def test_a_stopped_server_is_an_error_and_a_restarted_one_is_found_again(
    ledger: Ledger, mortal: Postgres
) -> None:
    """By the same engine, without an error in between, although all its connections have died."""
    order = settlement()
    await ledger.record(order, growing(1))
    mortal.stop()
    for call in (
        ledger.check(),
        ledger.find("N-1"),
        ledger.accept(order, accepted()),
        ledger.record(order, growing(2)),
    ):
        async with asyncio.timeout(3):
            with pytest.raises(OperationalError):
                await call
    mortal.start()
    assert all(await asyncio.gather(*(ledger.record(settlement(), growing(1)) for _ in range(WRITERS))))
    found = await ledger.find(order.adjust.requestUniqueNo)
    assert found is not None
    assert found.snapshot == growing(1)


async def test_broken_connections_in_the_pool_are_replaced_unseen(ledger: Ledger, mortal: Postgres) -> None:
    """As after a failover, or a firewall's idle limit."""
    mortal.execute(
        sql.SQL("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname <> current_database()")
    )
    assert all(await asyncio.gather(*(ledger.record(settlement(), growing(1)) for _ in range(WRITERS))))


@contextmanager
def silent(server: Postgres, database: str) -> Iterator[None]:
    """Stop the processes that serve a database's connections, as a debugger would."""
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


async def test_a_server_that_falls_silent_is_an_error(
    mortal: Postgres, open_one: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a broken network, or on a host that hangs: connected, and not a word; no timeout of its own helps."""
    monkeypatch.setattr("ledger.engine.STATEMENT_TIMEOUT_S", 1)
    engine = open_one(mortal.create_database(new_number("silent")))
    await migrate(engine)
    ledger = Ledger(engine)
    try:
        with silent(mortal, str(engine.url.database)):
            async with asyncio.timeout(8):
                with pytest.raises((SQLAlchemyError, OSError)):
                    await ledger.find("N-1")
    finally:
        await until(lambda: at_rest(engine))
    assert await ledger.find("N-1") is None


async def test_what_a_killed_postgresql_had_acknowledged_is_there_when_it_is_back(
    ledger: Ledger, mortal: Postgres
) -> None:
    """Killed in the middle of many writes; each of them either came through or raised."""
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
    mortal.kill9()
    async with asyncio.timeout(20):
        ends = await asyncio.gather(*writers, return_exceptions=True)
    assert all(isinstance(end, SQLAlchemyError | OSError) for end in ends), ends
    mortal.start()
    for number in acknowledged:
        found = await ledger.find(number)
        assert found is not None, number
        assert found.snapshot == growing(2)


async def test_what_a_killed_process_was_told_is_in_its_file(sqlite_url: str, open_one: OpenEngine) -> None:
    racer = await Racer.start(sqlite_url, prefix := new_number("killed"), count=1_000_000)
    racer.go()
    told = [await racer.answer() for _ in range(30)]
    told += await racer.kill9()
    ledger = Ledger(open_one(sqlite_url))
    assert told == [(f"{prefix}-{index}", True) for index in range(len(told))]
    for index in range(len(told)):
        assert await ledger.find(f"{prefix}-{index}") is not None
    _, is_new = await ledger.accept(settlement(requestUniqueNo=f"{prefix}-{len(told) + 1}"), accepted())
    assert is_new
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
