"""A writer waits for another writer's lock, up to a limit."""

import asyncio
import gc
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Findings, Ledger, SettlementSummaries
from settlement.start import SettlementInput
from tests.ledger.conftest import OpenEngine, connections_in_use
from tests.ledger.samples import accepted, growing
from tests.support.ledgers import all_connections_free
from tests.support.orders import settlement
from tests.support.polling import until

BRIEFLY_S = 0.4
PROMPT_S = 1.5

Release = Callable[[], None]


@contextmanager
def write_lock(database_url: str) -> Iterator[Release]:
    """Hold the database's write lock from outside the ledger until released."""
    connection: sqlite3.Connection | psycopg.Connection
    if database_url.startswith("sqlite"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
    else:
        connection = psycopg.connect(database_url)
        connection.execute("LOCK TABLE settlements IN SHARE ROW EXCLUSIVE MODE")
    try:
        yield connection.rollback
    finally:
        connection.close()


def release_later(release: Release) -> None:
    """Release the lock a little later."""
    asyncio.get_running_loop().call_later(BRIEFLY_S, release)


async def test_a_writer_waits_for_another_and_succeeds(ledger: Ledger, database_url: str) -> None:
    order = settlement()
    with write_lock(database_url) as release:
        release_later(release)
        began = time.monotonic()
        _, is_new = await ledger.accept(order, accepted())
        assert time.monotonic() - began > BRIEFLY_S / 2
    with write_lock(database_url) as release:
        release_later(release)
        assert await ledger.record(order, growing(2))
    found = await ledger.find(order.settlement_id)
    assert is_new
    assert found is not None
    assert found.snapshot == growing(2)


async def test_concurrent_writers_all_wait_and_succeed(ledgers: list[Ledger], database_url: str) -> None:
    orders = [settlement() for _ in range(30)]
    with write_lock(database_url) as release:
        release_later(release)
        writes = [ledgers[index % len(ledgers)].record(order, growing(2)) for index, order in enumerate(orders)]
        assert all(await asyncio.gather(*writes))


async def test_readers_do_not_wait_for_writers(ledger: Ledger, database_url: str) -> None:
    order = settlement()
    first, _ = await ledger.accept(order, accepted())
    with write_lock(database_url):
        async with asyncio.timeout(PROMPT_S):
            assert await ledger.find(first.settlement_id) == first
            assert (await ledger.page(limit=10)).settlements == (first,)
            assert await SettlementSummaries(ledger.engine).by_id([first.settlement_id])
            assert await Findings(ledger.engine).last_round() is None
            await ledger.check()


@pytest.fixture
def short_timeout(database_url: str, open_one: OpenEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncEngine:
    """Open the database with a timeout of one second. Another test checks the real one."""
    monkeypatch.setattr("ledger.engine.STATEMENT_TIMEOUT_S", 1)
    return open_one(database_url)


async def test_a_wait_beyond_the_limit_is_an_error_and_nothing_is_written(
    short_timeout: AsyncEngine, database_url: str
) -> None:
    ledger = Ledger(short_timeout)
    order = settlement()
    await ledger.accept(order, accepted())
    with write_lock(database_url):
        began = time.monotonic()
        accepting, recording = await asyncio.gather(
            ledger.accept(settlement(), accepted()), ledger.record(order, growing(2)), return_exceptions=True
        )
        waited_s = time.monotonic() - began
    assert isinstance(accepting, OperationalError)
    assert isinstance(recording, OperationalError)
    assert 0.9 < waited_s < 4
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert found.snapshot == accepted()
    assert await ledger.record(order, growing(2))


async def start_and_cancel(engine: AsyncEngine, order: SettlementInput) -> None:
    """Start a record that waits for a lock, and cancel its caller."""
    caller = asyncio.create_task(Ledger(engine).record(order, growing(2)))
    await until(lambda: connections_in_use(engine))
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_a_cancelled_caller_returns_at_once_and_its_write_completes(
    ledger: Ledger, engine: AsyncEngine, database_url: str
) -> None:
    """The write is complete, and leaves neither a lock nor an open connection."""
    order = settlement()
    await ledger.accept(order, accepted())
    with write_lock(database_url):
        async with asyncio.timeout(PROMPT_S):
            await start_and_cancel(engine, order)
        assert await connections_in_use(engine)
    await until(lambda: all_connections_free(engine))
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert found.snapshot == growing(2)
    assert await ledger.record(order, growing(3))


async def test_a_write_that_fails_after_its_caller_was_cancelled_leaves_nothing_behind(
    short_timeout: AsyncEngine, database_url: str
) -> None:
    order, ledger = settlement(), Ledger(short_timeout)
    with write_lock(database_url):
        await start_and_cancel(short_timeout, order)
        await until(lambda: all_connections_free(short_timeout))
    assert await ledger.find(order.settlement_id) is None
    assert await ledger.record(order, growing(2))


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_an_error_without_a_waiting_caller_is_not_reported_by_the_event_loop(
    short_timeout: AsyncEngine, database_url: str
) -> None:
    """The event loop would log a traceback with the values to be written."""
    shouted: list[str] = []
    gc.collect()  # tasks that earlier tests on this loop have left are not what is tested here
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: shouted.append(context["message"]))
    with write_lock(database_url):
        await start_and_cancel(short_timeout, settlement())
        await until(lambda: all_connections_free(short_timeout))
    gc.collect()
    loop.set_exception_handler(None)
    assert shouted == []
