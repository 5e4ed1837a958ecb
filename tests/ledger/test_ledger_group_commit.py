"""Concurrent writes on SQLite share a transaction. Each caller has the result that its write would have had alone."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import DecisionConflictError, Ledger, SettlementRecord
from ledger.group_commit import GROUP_MAX
from ledger.settlement_writes import recording
from ledger.sqlite_engine import SqliteEngine
from settlement.order_limits import AmountLimitError, OrderLimit
from settlement.start import SettlementInput
from settlement.states import Decision, State
from tests.ledger.conftest import OpenEngine, connections_in_use
from tests.ledger.samples import accepted, growing, resolved
from tests.support.ledgers import sync_engines
from tests.support.orders import new_number, settlement
from tests.support.polling import until

MANY = 200


@pytest.fixture
def backend() -> str:
    """Run on SQLite only: PostgreSQL groups commits itself."""
    return "sqlite"


@pytest.fixture
def commits(engine: AsyncEngine) -> list[Connection]:
    """Collect one entry for each transaction that the threads of the engine commit."""
    committed: list[Connection] = []
    assert isinstance(engine, SqliteEngine)
    event.listen(engine.synchronous, "commit", committed.append)
    return committed


@contextmanager
def locked(database_url: str) -> Iterator[sqlite3.Connection]:
    """Hold the write lock as another process does. A rollback releases it."""
    other = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield other
    finally:
        other.close()


async def is_stored(ledger: Ledger, order: SettlementInput) -> bool:
    """Tell whether the ledger has an order."""
    return await ledger.find(order.settlement_id) is not None


async def test_many_concurrent_writes_share_few_transactions(ledger: Ledger, commits: list[Connection]) -> None:
    orders = [settlement() for _ in range(MANY)]
    answers = await asyncio.gather(*(ledger.accept(order, accepted()) for order in orders))
    assert answers == [(SettlementRecord(order, accepted()), True) for order in orders]
    assert len(commits) == MANY // GROUP_MAX
    assert all(await asyncio.gather(*(ledger.record(order, growing(2)) for order in orders)))
    assert len(commits) == 2 * MANY // GROUP_MAX
    assert all([await is_stored(ledger, order) for order in orders])


async def test_a_single_write_has_its_own_transaction(ledger: Ledger, commits: list[Connection]) -> None:
    await ledger.accept(settlement(), accepted())
    await ledger.accept(settlement(), accepted())
    assert len(commits) == 2


async def test_writes_that_arrive_during_a_commit_form_the_next_group(
    ledger: Ledger, engine: AsyncEngine, database_url: str, commits: list[Connection]
) -> None:
    orders = [settlement() for _ in range(20)]
    with locked(database_url) as other:
        first = asyncio.create_task(ledger.accept(settlement(), accepted()))
        await until(lambda: connections_in_use(engine))
        others = [asyncio.create_task(ledger.accept(order, accepted())) for order in orders]
        await asyncio.sleep(0)
        other.rollback()
        assert (await first)[1]
        assert all(is_new for _, is_new in await asyncio.gather(*others))
    assert len(commits) == 2


async def test_of_one_order_in_a_group_exactly_one_call_is_new(ledger: Ledger, commits: list[Connection]) -> None:
    order = settlement()
    answers = await asyncio.gather(*(ledger.accept(order, accepted()) for _ in range(10)))
    assert sorted(is_new for _, is_new in answers) == [False] * 9 + [True]
    assert {record.settlement for record, _ in answers} == {order}
    assert len(commits) == 1


async def test_a_write_that_fails_does_not_affect_the_others(ledger: Ledger, commits: list[Connection]) -> None:
    orders = [settlement() for _ in range(20)]
    conflicting = orders[7]
    await ledger.record(conflicting, growing(1))
    commits.clear()
    proceed = accepted(version=3, state=State.SETTLED, decision=Decision.PROCEED)
    results = await asyncio.gather(
        *(ledger.record(order, proceed if order is conflicting else growing(2)) for order in orders),
        return_exceptions=True,
    )
    assert isinstance(results.pop(7), DecisionConflictError)
    assert results == [True] * 19
    assert len(commits) == 1
    found = [await ledger.find(order.settlement_id) for order in orders]
    assert [each is not None and each.snapshot for each in found] == [
        growing(1) if order is conflicting else growing(2) for order in orders
    ]


async def test_a_refused_order_leaves_nothing_behind_and_refuses_no_other(
    ledger: Ledger, commits: list[Connection]
) -> None:
    """The order was inserted and counted in the first limit before the second one refused it."""
    wide, narrow = OrderLimit("a", per_hour="1000"), OrderLimit("b", per_hour="10")
    orders = [settlement(amount="1") for _ in range(30)]
    results = await asyncio.gather(
        *(ledger.accept(order, accepted(), (wide, narrow)) for order in orders), return_exceptions=True
    )
    refused = [isinstance(result, AmountLimitError) for result in results]
    assert refused == [False] * 10 + [True] * 20
    assert len(commits) == 1
    assert [await is_stored(ledger, order) for order in orders] == [not each for each in refused]
    with pytest.raises(AmountLimitError):
        await ledger.accept(settlement(amount="990.01"), accepted(), (wide,))
    assert (await ledger.accept(settlement(amount="990"), accepted(), (wide,)))[1]


async def test_a_cancelled_caller_does_not_break_its_group(
    ledger: Ledger, engine: AsyncEngine, database_url: str
) -> None:
    orders = [settlement() for _ in range(6)]
    with locked(database_url) as other:
        calls = [asyncio.create_task(ledger.accept(order, accepted())) for order in orders]
        await until(lambda: connections_in_use(engine))
        calls[2].cancel()
        other.rollback()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results.pop(2), asyncio.CancelledError)
    assert [is_new for _, is_new in results] == [True] * 5  # type: ignore[misc] # the rest are no exceptions
    await until(lambda: is_stored(ledger, orders[2]))


async def test_dispose_completes_queued_writes_and_ends_the_threads(
    open_one: OpenEngine, database_url: str, ledger: Ledger
) -> None:
    closing = open_one(database_url)
    orders = [settlement() for _ in range(6)]
    assert isinstance(closing, SqliteEngine)
    threads: set[threading.Thread] = set()
    event.listen(closing.synchronous, "begin", lambda _: threads.add(threading.current_thread()))
    with locked(database_url) as other:
        calls = [asyncio.create_task(Ledger(closing).accept(orders[0], accepted()))]
        await until(lambda: connections_in_use(closing))
        calls += [asyncio.create_task(Ledger(closing).accept(order, accepted())) for order in orders[1:]]
        await asyncio.sleep(0)
        disposing = asyncio.create_task(closing.dispose())
        await asyncio.sleep(0)
        other.rollback()
        await disposing
        assert all(is_new for _, is_new in await asyncio.gather(*calls))

    async def threads_ended() -> bool:
        return not any(thread.is_alive() for thread in threads)

    await until(threads_ended)
    assert all([await is_stored(ledger, order) for order in orders])
    assert (await Ledger(closing).accept(settlement(), accepted()))[1], "the engine can be used again"


async def test_each_caller_gets_the_error_of_a_database_that_stays_locked(
    database_url: str, open_one: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group waits for the lock once, not once for each write."""
    monkeypatch.setattr("ledger.engine.STATEMENT_TIMEOUT_S", 1)
    ledger = Ledger(open_one(database_url))
    orders = [settlement() for _ in range(30)]
    with locked(database_url):
        results = await asyncio.gather(*(ledger.accept(order, accepted()) for order in orders), return_exceptions=True)
    assert [type(result) for result in results] == [OperationalError] * 30
    assert not any([await is_stored(ledger, order) for order in orders])
    assert (await ledger.accept(orders[0], accepted()))[1]


async def test_a_write_that_fills_the_disk_fails_alone(ledger: Ledger, engine: AsyncEngine) -> None:
    """SQLite rolls back the statement, or the whole transaction: then every write of the group is repeated alone."""
    large, small = settlement(), [settlement() for _ in range(4)]
    async with engine.connect() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
    await engine.dispose()
    for each in sync_engines(engine):
        event.listen(each, "connect", lambda opened, _: opened.execute(f"PRAGMA max_page_count = {pages + 20}").close())
    results = await asyncio.gather(
        ledger.accept(small[0], accepted()),
        ledger.accept(small[1], accepted()),
        ledger.record(large, resolved(2, calls=growing(200).calls)),
        ledger.accept(small[2], accepted()),
        ledger.accept(small[3], accepted()),
        return_exceptions=True,
    )
    failed = results.pop(2)
    assert isinstance(failed, OperationalError)
    assert "full" in str(failed)
    assert [is_new for _, is_new in results] == [True] * 4
    assert all([await is_stored(ledger, order) for order in small])
    assert not await is_stored(ledger, large)


async def test_after_a_failed_commit_each_write_is_committed_alone(ledger: Ledger, engine: AsyncEngine) -> None:
    assert isinstance(engine, SqliteEngine)
    attempts: list[Connection] = []

    def fail_the_first(connection: Connection) -> None:
        attempts.append(connection)
        if len(attempts) == 1:
            raise OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))

    event.listen(engine.synchronous, "commit", fail_the_first)
    orders = [settlement() for _ in range(5)]
    answers = await asyncio.gather(*(ledger.accept(order, accepted()) for order in orders))
    assert [is_new for _, is_new in answers] == [True] * 5
    assert len(attempts) == 1 + 5
    assert all([await is_stored(ledger, order) for order in orders])


async def test_each_caller_gets_the_error_of_a_read_only_database(database_url: str, open_one: OpenEngine) -> None:
    reading = database_url.replace("sqlite:///", "sqlite:///file:")
    ledger = Ledger(open_one(f"{reading}?mode=ro&uri=true"))
    calls = [ledger.accept(settlement(), accepted()) for _ in range(5)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert ["readonly" in str(result) for result in results] == [True] * 5


async def test_a_statement_that_fails_after_others_is_rolled_back_alone(
    ledger: Ledger, engine: AsyncEngine, commits: list[Connection]
) -> None:
    """Without savepoints, the rows that it had written before the error would be committed with the group."""
    assert isinstance(engine, SqliteEngine)
    broken, whole = settlement(), settlement()
    write = recording(broken, growing(2))

    def write_then_fail(connection: Connection) -> None:
        assert write(connection)
        raise OSError(new_number())

    results = await asyncio.gather(
        engine.write(write_then_fail), ledger.record(whole, growing(2)), return_exceptions=True
    )
    assert isinstance(results[0], OSError)
    assert results[1] is True
    assert len(commits) == 1
    assert not await is_stored(ledger, broken)
    assert await is_stored(ledger, whole)
