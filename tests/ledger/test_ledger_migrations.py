"""Migrations create exactly the schema of `ledger.tables`; repeated, concurrent and failing runs are safe."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Integer, MetaData, event, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from ledger import Ledger
from ledger.migrate import BEFORE_0_1_0, MigrationError, alembic_config, migrate, migrate_url
from ledger.schema import metadata
from tests.ledger.conftest import OpenEngine
from tests.ledger.samples import growing
from tests.support.orders import settlement
from tests.support.polling import until

ROOT = Path(__file__).parent.parent.parent
LAST_TABLE = "CREATE TABLE take_up_allowances"


async def tables(engine: AsyncEngine) -> set[str]:
    """Return the names of the existing tables."""
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def drift(engine: AsyncEngine, wanted: MetaData) -> list[object]:
    """Return the differences between database and code, as `alembic check` does."""

    def compare(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), wanted))

    async with engine.connect() as connection:
        return await connection.run_sync(compare)


def on_last_table(engine: AsyncEngine, act: Callable[[], None]) -> None:
    """Run a function once, in the middle of a migration."""
    acts = [act]

    def look(_: object, __: object, statement: str, *___: object) -> None:
        if LAST_TABLE in statement and acts:
            acts.pop()()

    event.listen(engine.sync_engine, "before_cursor_execute", look)


async def migrate_in_another_process(database_url: str) -> Process:
    """Start another process that migrates, as an operator would."""
    environment = {**os.environ, "SETTLEMENT_DATABASE_URL": database_url}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger.migrate", cwd=ROOT, env=environment, stderr=PIPE
    )


async def waiting_or_ended(engine: AsyncEngine, process: Process) -> None:
    """Return when the process has ended or waits for our lock. On SQLite, return after a delay."""

    async def waits() -> bool:
        if engine.dialect.name == "sqlite" or process.returncode is not None:
            return process.returncode is not None
        async with engine.connect() as connection:
            waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            return (await connection.execute(text(waiting))).first() is not None

    with suppress(TimeoutError):
        await until(waits, limit_s=2.5)


async def test_an_empty_database_becomes_a_working_ledger(empty_url: str, open_one: OpenEngine) -> None:
    engine = open_one(empty_url)
    await migrate(engine)
    assert await tables(engine) == {*metadata.tables, "alembic_version"}
    await Ledger(engine).check()
    assert await Ledger(engine).record(settlement(), growing(3))


async def test_migrating_again_changes_nothing(engine: AsyncEngine, ledger: Ledger) -> None:
    order = settlement()
    await ledger.record(order, growing(3))
    await migrate(engine)
    await migrate(engine)
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert found.snapshot == growing(3)


def test_the_migrations_have_no_branches() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert len(scripts.get_heads()) == 1
    assert len(scripts.get_bases()) == 1


async def test_the_migrations_create_the_tables_of_the_code(engine: AsyncEngine) -> None:
    assert await drift(engine, metadata) == []


async def test_a_difference_between_migrations_and_code_is_detected(engine: AsyncEngine) -> None:
    """Proves that the check above can fail: an extra column, a missing column, an index."""
    changed = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.tables.values():
        table.to_metadata(changed)
    changed.tables["settlements"].append_column(Column("extra", Integer, index=True))
    kinds = [change[0] for change in await drift(engine, changed)]  # type: ignore[index] # Alembic's tuples
    assert kinds == ["add_column", "add_index"]


async def at_revision(engine: AsyncEngine, revision: str) -> None:
    """Have a database contain the mark of another version's schema."""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


REFUSED = {
    **dict.fromkeys(sorted(BEFORE_0_1_0), "this database was created by a version before 0.1.0"),
    "9999_a_later_one": "this database was migrated by another version, probably a newer one",
}


@pytest.mark.parametrize("revision", REFUSED)
async def test_a_database_of_another_version_is_refused_and_stays_as_it_is(engine: AsyncEngine, revision: str) -> None:
    """Neither an unreleased version's database is carried over, nor a newer one's taken back."""
    before = await tables(engine)
    await at_revision(engine, revision)
    with pytest.raises(MigrationError, match=f"{REFUSED[revision]}.*{revision}"):
        await migrate(engine)
    async with engine.connect() as connection:
        found = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
    assert (found, await tables(engine)) == (revision, before)


async def test_the_command_refuses_such_a_database_in_one_line(sqlite_url: str, open_one: OpenEngine) -> None:
    await at_revision(open_one(sqlite_url), "0003")
    process = await migrate_in_another_process(sqlite_url)
    _, complaint = await process.communicate()
    assert process.returncode == 1
    (line,) = complaint.decode().splitlines()
    assert line.startswith("the ledger cannot be migrated: this database was created by a version before 0.1.0")


async def test_a_database_that_cannot_be_opened_is_the_same_error(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="unable to open database file"):
        await migrate_url(f"sqlite:///{tmp_path}/gone/ledger.db")


async def test_a_failed_migration_leaves_nothing_and_can_be_repeated(empty_url: str, open_one: OpenEngine) -> None:
    engine = open_one(empty_url)

    def crash() -> None:
        raise ConnectionResetError

    on_last_table(engine, crash)
    with pytest.raises(ConnectionResetError):
        await migrate(engine)
    assert await tables(engine) == set()
    await migrate(engine)
    await Ledger(engine).check()


async def test_two_processes_can_migrate_concurrently(empty_url: str, open_one: OpenEngine) -> None:
    """The second one starts during the first migration, waits, and then has nothing to do."""
    engine = open_one(empty_url)
    elsewhere: list[Process] = []

    async def begin() -> None:
        elsewhere.append(await migrate_in_another_process(empty_url))
        await waiting_or_ended(open_one(empty_url), elsewhere[0])

    on_last_table(engine, lambda: await_only(begin()))
    await migrate(engine)
    _, complaint = await elsewhere[0].communicate()
    assert (elsewhere[0].returncode, complaint) == (0, b"")
    await Ledger(engine).check()
