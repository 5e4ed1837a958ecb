"""Waiting: a writer that finds another one at work waits its turn, for so long and no longer."""

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
from tests.ledger.conftest import OpenEngine, at_rest, at_work
from tests.ledger.samples import accepted, growing
from tests.support.orders import settlement
from tests.support.polling import until

BRIEFLY_S = 0.4
PROMPT_S = 1.5

Release = Callable[[], None]


@contextmanager
def no_one_else_may_write(database_url: str) -> Iterator[Release]:
    """Hold the lock that every writer needs, from outside the ledger, until released."""
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


def in_a_moment(release: Release) -> None:
    """Have the lock released a little later."""
    asyncio.get_running_loop().call_later(BRIEFLY_S, release)


async def test_a_writer_waits_for_another_and_succeeds(ledger: Ledger, database_url: str) -> None:
    order = settlement()
    with no_one_else_may_write(database_url) as release:
        in_a_moment(release)
        began = time.monotonic()
        _, is_new = await ledger.accept(order, accepted())
        assert time.monotonic() - began > BRIEFLY_S / 2
    with no_one_else_may_write(database_url) as release:
        in_a_moment(release)
        assert await ledger.record(order, growing(2))
    found = await ledger.find(order.adjust.requestUniqueNo)
    assert is_new
    assert found is not None
    assert found.snapshot == growing(2)


async def test_many_writers_wait_together_and_all_succeed(ledgers: list[Ledger], database_url: str) -> None:
    orders = [settlement() for _ in range(30)]
    with no_one_else_may_write(database_url) as release:
        in_a_moment(release)
        writes = [ledgers[index % len(ledgers)].record(order, growing(2)) for index, order in enumerate(orders)]
        assert all(await asyncio.gather(*writes))


async def test_readers_wait_for_no_writer(ledger: Ledger, database_url: str) -> None:
    order = settlement()
    first, _ = await ledger.accept(order, accepted())
    with no_one_else_may_write(database_url):
        async with asyncio.timeout(PROMPT_S):
            assert await ledger.find(first.number) == first
            assert (await ledger.page(limit=10)).settlements == (first,)
            assert await SettlementSummaries(ledger.engine).by_number([first.number])
            assert await Findings(ledger.engine).last_round() is None
            await ledger.check()


@pytest.fixture
def impatient(database_url: str, open_one: OpenEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncEngine:
    """Open the database with a limit of one second; that the real one is in force, another test says."""
    monkeypatch.setattr("ledger.engine.STATEMENT_TIMEOUT_S", 1)
    return open_one(database_url)


async def test_a_wait_beyond_the_limit_is_an_error_that_writes_nothing(
    impatient: AsyncEngine, database_url: str
) -> None:
    ledger = Ledger(impatient)
    order = settlement()
    await ledger.accept(order, accepted())
    with no_one_else_may_write(database_url):
        began = time.monotonic()
        accepting, recording = await asyncio.gather(
            ledger.accept(settlement(), accepted()), ledger.record(order, growing(2)), return_exceptions=True
        )
        waited_s = time.monotonic() - began
    assert isinstance(accepting, OperationalError)
    assert isinstance(recording, OperationalError)
    assert 0.9 < waited_s < 4
    found = await ledger.find(order.adjust.requestUniqueNo)
    assert found is not None
    assert found.snapshot == accepted()
    assert await ledger.record(order, growing(2))


async def begin_and_give_up(engine: AsyncEngine, order: SettlementInput) -> None:
    """Have a record begin to wait for a lock, and its caller give up at once."""
    caller = asyncio.create_task(Ledger(engine).record(order, growing(2)))
    await until(lambda: at_work(engine))
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_a_caller_that_gives_up_is_let_go_and_the_write_ends_by_itself(
    ledger: Ledger, engine: AsyncEngine, database_url: str
) -> None:
    """It ends whole, and leaves behind neither a lock nor a connection."""
    order = settlement()
    await ledger.accept(order, accepted())
    with no_one_else_may_write(database_url):
        async with asyncio.timeout(PROMPT_S):
            await begin_and_give_up(engine, order)
        assert await at_work(engine)
    await until(lambda: at_rest(engine))
    found = await ledger.find(order.adjust.requestUniqueNo)
    assert found is not None
    assert found.snapshot == growing(2)
    assert await ledger.record(order, growing(3))


async def test_a_write_that_fails_after_its_caller_gave_up_leaves_nothing_behind(
    impatient: AsyncEngine, database_url: str
) -> None:
    order, ledger = settlement(), Ledger(impatient)
    with no_one_else_may_write(database_url):
        await begin_and_give_up(impatient, order)
        await until(lambda: at_rest(impatient))
    assert await ledger.find(order.adjust.requestUniqueNo) is None
    assert await ledger.record(order, growing(2))


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_an_error_that_no_caller_waits_for_is_not_shouted_into_the_log(
    impatient: AsyncEngine, database_url: str
) -> None:
    """The event loop would, with a traceback and all that was to be written."""
    shouted: list[str] = []
    gc.collect()  # tasks that earlier tests on this loop have left are not what is tested here
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: shouted.append(context["message"]))
    with no_one_else_may_write(database_url):
        await begin_and_give_up(impatient, settlement())
        await until(lambda: at_rest(impatient))
    gc.collect()
    loop.set_exception_handler(None)
    assert shouted == []
