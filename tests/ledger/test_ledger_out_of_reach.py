"""Every method raises SQLAlchemyError or OSError, without delay, if the database cannot be reached or written.

The API answers these errors with 503. Nothing may hang, and a failed write must write nothing.
"""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Batches, Findings, Ledger, SettlementSummaries
from settlement.batch_retry import BatchRetryRequest, BatchSelection, BatchState
from settlement.operator_rules import RetryReason
from settlement.reconciliation import FindingKind
from stack.ports import free_port
from tests.ledger.conftest import OpenEngine
from tests.ledger.samples import NOON, accepted, growing, resolved
from tests.support.ledgers import sync_engines
from tests.support.orders import id_of, settlement
from tests.support.postgres import HOST, Postgres, account, public_folder

AT_ONCE_S = 3.0
SELECTION = BatchSelection(company_id=7)
BATCH = BatchRetryRequest(
    selection=SELECTION, reason_code=RetryReason.OTHER, note="broker is back", expected_count=1, rate_per_s=1
)

READS: dict[str, Callable[[Ledger], Awaitable[object]]] = {
    "find": lambda ledger: ledger.find(id_of("N-1")),
    "page": lambda ledger: ledger.page(limit=10),
    "gauges": lambda ledger: ledger.gauges(),
    "open_settlements": lambda ledger: SettlementSummaries(ledger.engine).open_settlements(NOON, 10),
    "by_id": lambda ledger: SettlementSummaries(ledger.engine).by_id([id_of("N-1")]),
    "findings": lambda ledger: Findings(ledger.engine).page(status=None, before=None, limit=10),
    "last_round": lambda ledger: Findings(ledger.engine).last_round(),
    "check": lambda ledger: ledger.check(),
    "preview": lambda ledger: Batches(ledger.engine).preview(SELECTION),
    "pending": lambda ledger: Batches(ledger.engine).pending("b-1", 10),
}
WRITES: dict[str, Callable[[Ledger], Awaitable[object]]] = {
    "accept": lambda ledger: ledger.accept(settlement(), accepted()),
    "record": lambda ledger: ledger.record(settlement(), growing(2)),
    "create": lambda ledger: Batches(ledger.engine).create(BATCH, "ops-1", NOON),
    "end": lambda ledger: Batches(ledger.engine).end("b-1", BatchState.DONE, NOON),
    "report": lambda ledger: Findings(ledger.engine).report(
        FindingKind.LEDGER_AHEAD, id_of("N-1"), "it is", round_started_at=NOON
    ),
}
METHODS = READS | WRITES


async def check_refused(ledger: Ledger, methods: dict[str, Callable[[Ledger], Awaitable[object]]], match: str) -> None:
    """Check that each method raises an expected error without delay."""
    for method in methods.values():
        async with asyncio.timeout(AT_ONCE_S):
            with pytest.raises(DatabaseError, match=match):
                await method(ledger)


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("missing/ledger.db", "unable to open database file"),
        ("", "unable to open database file"),
        ("a-file/ledger.db", "unable to open database file"),
        ("a-file", "file is not a database"),
    ],
    ids=["folder-missing", "a-folder", "folder-is-a-file", "no-database"],
)
async def test_a_file_that_is_not_a_database(tmp_path: Path, open_one: OpenEngine, path: str, complaint: str) -> None:
    (tmp_path / "a-file").write_text("not a database\n" * 100)
    await check_refused(Ledger(open_one(f"sqlite:///{tmp_path / path}")), METHODS, complaint)


async def test_a_read_only_file_can_be_read_and_not_written(sqlite_url: str, open_one: OpenEngine) -> None:
    order = settlement()
    await Ledger(open_one(sqlite_url)).record(order, growing(2))
    reading = sqlite_url.replace("sqlite:///", "sqlite:///file:")
    ledger = Ledger(open_one(f"{reading}?mode=ro&uri=true"))
    assert await ledger.find(order.settlement_id) is not None
    await check_refused(ledger, WRITES, "attempt to write a readonly database")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Drop root's permission to write everywhere, if we have it."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(account().uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only_folder(sqlite_template: Path) -> Iterator[Path]:
    """Return a folder with a ledger that everybody may read and nobody may write, like a read-only volume."""
    folder = Path(tempfile.mkdtemp(prefix="ledger-test-", dir=public_folder()))
    Path(shutil.copy(sqlite_template, folder / "ledger.db")).chmod(0o444)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["new.db", "ledger.db"])
async def test_a_read_only_folder(read_only_folder: Path, open_one: OpenEngine, name: str) -> None:
    """Reading fails too, because WAL needs its own files beside the database."""
    with unprivileged():
        await check_refused(
            Ledger(open_one(f"sqlite:///{read_only_folder / name}")), METHODS, "unable to open|readonly"
        )


async def test_a_full_disk_is_an_error_until_there_is_space_again(sqlite_url: str, open_one: OpenEngine) -> None:
    engine = open_one(sqlite_url)
    ledger = Ledger(engine)
    order = settlement()
    await ledger.record(order, growing(1))
    async with engine.connect() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
    await engine.dispose()

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}").close()

    for each in sync_engines(engine):
        event.listen(each, "connect", limit)
    with pytest.raises(OperationalError, match="full"):
        await ledger.record(order, resolved(2, calls=growing(100).calls))
    for each in sync_engines(engine):
        event.remove(each, "connect", limit)
    await engine.dispose()
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert found.snapshot == growing(1)
    assert await ledger.record(order, growing(2))


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        (f"{HOST}:{{free}}/ledger", "Connection refused"),
        (f"{HOST}:{{port}}/unheard_of", "does not exist"),
        ("no-such-host.invalid:{port}/ledger", "resolve"),
    ],
    ids=["nobody-listens", "no-database", "no-host"],
)
async def test_an_unreachable_server(postgres: Postgres, open_one: OpenEngine, address: str, complaint: str) -> None:
    url = f"postgresql://postgres@{address.format(free=free_port(), port=postgres.port)}"
    await check_refused(Ledger(open_one(url)), METHODS, complaint)


async def test_an_error_of_the_ledger_contains_no_personal_data(ledger: Ledger, engine: AsyncEngine) -> None:
    """Error texts go into logs, and as activity failures into Temporal's history and UI."""
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE settlements RENAME TO out_of_reach"))
    with pytest.raises(DatabaseError) as error:
        await ledger.accept(settlement(userName="somebody", ip="203.0.113.99"), accepted())
    assert "somebody" not in str(error.value)
    assert "203.0.113.99" not in str(error.value)
