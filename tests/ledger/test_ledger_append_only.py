"""Rows of the audit are only inserted: triggers refuse everything else, and so do the rights of the runtime role."""

import pytest
from psycopg import sql
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import KeyRing, Ledger, SystemPauses
from ledger.audit_writes import first_audit
from ledger.migrate import MigrationError, migrate
from ledger.migrations.append_only import APPEND_ONLY
from settlement.keys import ApiKey, Role
from tests.ledger.conftest import OpenEngine
from tests.ledger.samples import NOON, accepted, growing, resolved
from tests.support.orders import id_of, new_number, settlement
from tests.support.postgres import Postgres

AUDIT = ("external_calls", "operator_actions", "state_changes")
CHANGES = (
    *(f"UPDATE {table} SET position = 17" for table in AUDIT),  # noqa: S608 - fixed names
    *(f"DELETE FROM {table}" for table in APPEND_ONLY),  # noqa: S608 - fixed names
    "UPDATE system_actions SET note = 'x'",
    "UPDATE settlements SET amount = '1.00'",
    "UPDATE settlements SET acceptance_hash = ''",
    "DELETE FROM settlements",
)


async def filled(engine: AsyncEngine) -> None:
    """Have at least one row in each table."""
    await Ledger(engine).record(settlement(), resolved(3))
    await SystemPauses(engine).pause("alpha", "ops-1", "why", NOON)


async def refusal(engine: AsyncEngine, statement: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as refused:
        async with engine.begin() as connection:
            await connection.execute(text(statement))
    return refused.value


@pytest.mark.parametrize("statement", CHANGES)
async def test_triggers_refuse_a_change_to_the_owner_too(engine: AsyncEngine, statement: str) -> None:
    await filled(engine)
    error = await refusal(engine, statement)
    assert isinstance(error, IntegrityError)
    assert "is refused: its rows are append-only" in str(error)


async def test_sqlite_refuses_to_replace_a_row_by_an_insert(sqlite_url: str, open_one: OpenEngine) -> None:
    """INSERT OR REPLACE deletes the old row without a DELETE trigger."""
    engine = open_one(sqlite_url)
    await Ledger(engine).record(settlement(requestUniqueNo="N-1"), resolved(3))
    for table, rows in first_audit(id_of("N-1"), resolved(3)).parts:
        with pytest.raises(IntegrityError, match="append-only"):
            async with engine.begin() as connection:
                await connection.execute(insert(table).prefix_with("OR REPLACE"), rows)


@pytest.mark.parametrize("table", [*APPEND_ONLY, "settlements"])
async def test_postgresql_refuses_to_truncate(postgresql_url: str, open_one: OpenEngine, table: str) -> None:
    error = await refusal(open_one(postgresql_url), f"TRUNCATE {table} CASCADE")
    assert "append-only" in str(error)


@pytest.fixture
def runtime_role(postgres: Postgres) -> str:
    """Create a role that owns nothing; a name that must be quoted."""
    role = new_number("Runtime role")
    postgres.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    return role


@pytest.fixture
async def runtime(postgresql_url: str, open_one: OpenEngine, runtime_role: str) -> AsyncEngine:
    """Open a ledger as API and worker do."""
    owner = open_one(postgresql_url)
    await migrate(owner, runtime_role)
    url = owner.url.set(username=runtime_role)
    return open_one(url.render_as_string(hide_password=False))


async def test_the_runtime_role_can_do_the_work(runtime: AsyncEngine) -> None:
    ledger, order = Ledger(runtime), settlement()
    await ledger.accept(order, accepted())
    for version in (1, 2, 3):
        assert await ledger.record(order, growing(version))
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert found.snapshot == growing(3)
    pauses = SystemPauses(runtime)
    assert await pauses.pause("alpha", "ops-1", "why", NOON)
    assert await pauses.resume("alpha", "ops-1", "over", NOON)
    key = ApiKey(key_id="k", client="c", role=Role.ADMIN, companies="all", created_at=NOON, created_by="local")
    assert await KeyRing(runtime).add(key, "hash")
    assert await KeyRing(runtime).revoke("k", "ops-1", NOON)


@pytest.mark.parametrize(
    "statement",
    [
        *CHANGES,
        *(f"TRUNCATE {table} CASCADE" for table in APPEND_ONLY),
        "ALTER TABLE external_calls DISABLE TRIGGER ALL",
        "DROP TRIGGER external_calls_append_only ON external_calls",
        "DROP FUNCTION refuse_change() CASCADE",
        "UPDATE settlements SET input = '{}'",
        "UPDATE alembic_version SET version_num = 'x'",
        "SET session_replication_role = replica",
        "CREATE TABLE other (id int)",
    ],
)
async def test_the_runtime_role_has_no_right_to_change_the_audit(runtime: AsyncEngine, statement: str) -> None:
    await filled(runtime)
    assert isinstance(await refusal(runtime, statement), ProgrammingError)


async def test_rights_are_given_again_and_taken_back(
    runtime: AsyncEngine, runtime_role: str, postgresql_url: str, open_one: OpenEngine
) -> None:
    owner = open_one(postgresql_url)
    async with owner.begin() as connection:
        await connection.execute(text(f'GRANT ALL ON ALL TABLES IN SCHEMA public TO "{runtime_role}"'))
    await migrate(owner, runtime_role)
    await filled(runtime)
    assert isinstance(await refusal(runtime, "DELETE FROM external_calls"), ProgrammingError)


@pytest.mark.parametrize(
    ("role", "reason"), [("nobody-here", "there is no role"), ("postgres", "can act as the owner")]
)
async def test_a_role_from_which_no_right_can_be_kept_is_refused(
    postgresql_url: str, open_one: OpenEngine, role: str, reason: str
) -> None:
    with pytest.raises(MigrationError, match=reason):
        await migrate(open_one(postgresql_url), role)
