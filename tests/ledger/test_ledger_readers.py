"""Reads have their own connections: even if all of those are in use, orders are accepted and recorded."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from ledger import Ledger
from ledger.sqlite_engine import READ_THREADS, SqliteEngine
from settlement.start import accepted_snapshot
from settlement.states import State
from tests.ledger.conftest import OpenEngine
from tests.support.orders import id_of, settlement

AT_ONCE_S = 4.0
"""Below the time that a pool lets a caller wait for a connection."""


@asynccontextmanager
async def all_in_use(readers: AsyncEngine) -> AsyncIterator[None]:
    """Use all connections, on SQLite all threads, of an engine."""
    async with AsyncExitStack() as taken:
        if isinstance(readers, SqliteEngine):
            end = threading.Event()
            reads = [asyncio.create_task(readers.read(lambda _: end.wait())) for _ in range(READ_THREADS)]
            taken.push_async_callback(asyncio.wait, reads)
            taken.callback(end.set)
        else:
            pool = readers.pool
            assert isinstance(pool, QueuePool)
            for _ in range(pool.size() + pool._max_overflow):  # noqa: SLF001 - no other name for it
                await taken.enter_async_context(readers.connect())
        yield


async def test_orders_are_accepted_while_all_reader_connections_are_in_use(
    open_one: OpenEngine, database_url: str
) -> None:
    readers = open_one(database_url)
    ledger = Ledger(open_one(database_url), readers)
    order = settlement()
    first = accepted_snapshot(order)
    async with all_in_use(readers):
        reading = asyncio.create_task(ledger.page(limit=1))
        async with asyncio.timeout(AT_ONCE_S):
            assert (await ledger.accept(order, first))[1] is True
            assert (await ledger.accept(order, first))[1] is False
            assert await ledger.record(order, first.model_copy(update={"version": 1, "state": State.SETTLED}))
            await ledger.check()
        with pytest.raises((PoolTimeoutError, TimeoutError)):
            await reading
    assert len((await ledger.page(limit=1)).settlements) == 1


async def test_versions_of_the_requested_settlements_are_returned(ledger: Ledger) -> None:
    orders = [settlement() for _ in range(3)]
    for order in orders:
        await ledger.accept(order, accepted_snapshot(order))
    ids = [order.settlement_id for order in orders]
    await ledger.record(orders[0], accepted_snapshot(orders[0]).model_copy(update={"version": 3}))
    assert await ledger.versions([*ids[:2], id_of("unknown")]) == {ids[0]: 3, ids[1]: 0}
    assert await ledger.versions([]) == {}
