"""The chain of an audit stays valid through everything that the ledger does by itself, and through an erasure."""

import asyncio
import itertools
import sys
from asyncio.subprocess import PIPE
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger
from ledger.audit.chains import Fault
from ledger.audit.verification import EARLIEST, Verification
from ledger.chain import PERSONAL, PERSONAL_OF_ORDER, token
from ledger.tables import external_calls, operator_actions, settlements
from settlement.ids import SettlementId
from settlement.snapshot import LeftOut, Snapshot, StateChange
from settlement.states import State
from settlement.tasks import RecordResult
from tests.ledger.samples import NOON, accepted, act, call, full_call, growing, resolved
from tests.ledger.strategies import snapshots
from tests.support.ledgers import forget, sync_engines
from tests.support.orders import new_number, settlement
from tests.support.tampering import unguarded

ROOT = Path(__file__).parents[2]
END = NOON + timedelta(days=36_500)
STATE = "the last state change in its audit"
"""In the detail of a fault that the samples here have: their snapshots do not list all their state changes."""


async def faults(engine: AsyncEngine) -> list[Fault]:
    """Return what the verification of the whole ledger finds."""
    verification = Verification(engine)
    found = [fault async for step in verification.chains(EARLIEST, END) for fault in step.faults]
    found += [fault async for step in verification.orphans() for fault in step.faults]
    return [fault for fault in found if STATE not in fault.detail]


async def chain_of(engine: AsyncEngine, settlement_id: SettlementId) -> tuple[int, str]:
    """Return length and head of a chain."""
    columns = settlements.c
    query = select(columns.chain_length, columns.chain_head).where(columns.settlement_id == settlement_id)
    async with engine.connect() as connection:
        length, head = (await connection.execute(query)).one()
    return length, head


def settled() -> Snapshot:
    """Return the snapshot with which most settlements end: one call, one state change."""
    change = StateChange(state=State.SETTLED, at=NOON, reason="applied")
    return Snapshot(version=1, state=State.SETTLED, updated_at=NOON, calls=(call(),), state_changes=(change,))


async def test_a_happy_settlement_needs_no_further_statement(ledger: Ledger, engine: AsyncEngine) -> None:
    """The row, its calls and its state changes: as many statements as without a chain."""
    order = settlement()
    await ledger.accept(order, accepted())
    executed: list[str] = []
    for each in sync_engines(engine):
        event.listen(each, "before_cursor_execute", lambda *given: executed.append(str(given[2]).split()[0]))
    await ledger.record_since(order.settlement_id, 0, settled())
    assert [each for each in executed if each != "BEGIN"] == ["UPDATE", "INSERT", "INSERT"]
    assert await faults(engine) == []


@pytest.mark.parametrize("arrivals", list(itertools.permutations((1, 2, 3))))
async def test_late_and_lower_versions_do_not_fork_the_chain(
    ledger: Ledger, engine: AsyncEngine, arrivals: tuple[int, ...]
) -> None:
    order = settlement()
    for version in arrivals * 2:
        await ledger.record(order, growing(version))
    assert await faults(engine) == []


async def test_a_repeated_write_adds_no_row(ledger: Ledger, engine: AsyncEngine) -> None:
    """Neither the same write, nor that of a repeated workflow task with a later time, nor a version without news."""
    order, snapshot = settlement(), resolved(3)
    await ledger.record(order, snapshot)
    before = await chain_of(engine, order.settlement_id)
    assert not await ledger.record(order, snapshot)
    later = snapshot.model_copy(update={"updated_at": NOON + timedelta(seconds=10)})
    assert await ledger.record(order, later)
    assert await ledger.record(order, later.model_copy(update={"version": 4}))
    assert await chain_of(engine, order.settlement_id) == before
    assert await faults(engine) == []


async def test_a_corrected_entry_is_another_row_and_the_first_one_stays(ledger: Ledger, engine: AsyncEngine) -> None:
    order = settlement()
    await ledger.record(order, growing(1))
    await ledger.record(order, growing(2))
    async with engine.connect() as connection:
        columns = external_calls.c
        query = select(columns.position, columns.chain_position, columns.outcome).order_by(columns.chain_position)
        rows = (await connection.execute(query)).all()
    assert [row.position for row in rows] == [0, 0, 1]
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert found.snapshot == growing(2)
    assert await faults(engine) == []


async def test_entries_that_arrive_twice_are_written_once(ledger: Ledger, engine: AsyncEngine) -> None:
    """The answer to a write was lost, so the workflow sends its entries again with the next ones."""
    order = settlement()
    await ledger.accept(order, accepted())
    calls = tuple(full_call(attempt) for attempt in range(1, 6))
    for version in range(1, 6):
        snapshot = Snapshot(
            version=version,
            state=State.CANCELLING,
            updated_at=NOON,
            calls=calls[max(0, version - 2) : version],
            actions=(act(),),
            left_out=LeftOut(calls=max(0, version - 2)),
        )
        assert await ledger.record_since(order.settlement_id, 0, snapshot) == RecordResult.RECORDED
    assert (await chain_of(engine, order.settlement_id))[0] == 5 + 1
    assert await faults(engine) == []


async def test_a_lost_row_that_is_written_again_begins_a_chain(ledger: Ledger, engine: AsyncEngine) -> None:
    """As after a restored backup: first with the newest part of a long audit, then with all of it."""
    order, whole = settlement(), growing(6)
    await ledger.record(order, whole)
    await forget(engine, order.settlement_id)
    newest = whole.model_copy(update={"calls": whole.calls[3:], "left_out": LeftOut(calls=3)})
    assert await ledger.record(order, newest)
    assert await ledger.record(order, growing(7))
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert found.snapshot == growing(7)
    assert await faults(engine) == []


async def test_concurrent_writers_do_not_fork_the_chain(ledgers: list[Ledger]) -> None:
    """Several processes write versions of the same settlements, in any order."""
    orders = [settlement() for _ in range(3)]
    writes = [
        ledgers[(version + index) % len(ledgers)].record(order, growing(version))
        for version in (3, 1, 5, 2, 4, 5, 6)
        for index, order in enumerate(orders)
    ]
    await asyncio.gather(*writes)
    assert await faults(ledgers[0].engine) == []


async def test_the_chain_survives_killed_writers(database_url: str, engine: AsyncEngine) -> None:
    """Two processes write the same settlements, and are killed at any point. Two more repeat and go on."""
    command = (sys.executable, "-m", "tests.ledger.chain_writer", database_url, new_number("killed"))
    for rounds in (2, 5, 9):
        writers = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE) for _ in range(2)]
        for writer in writers:
            assert writer.stdout is not None
            for _ in range(rounds):
                assert await writer.stdout.readline()
        for writer in writers:
            writer.kill()
        for writer in writers:
            await writer.communicate()
        assert await faults(engine) == []
    async with engine.connect() as connection:
        assert (await connection.execute(select(settlements.c.chain_length))).scalars().all() != []


@given(written=st.lists(st.tuples(snapshots, st.booleans()), min_size=1, max_size=5))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
async def test_any_sequence_of_snapshots_leaves_a_valid_chain(
    engine: AsyncEngine, written: list[tuple[Snapshot, bool]]
) -> None:
    """Whole snapshots and parts, in any order of versions and states, with entries that contradict each other."""
    ledger, order = Ledger(engine), settlement()
    await ledger.accept(order, accepted())
    for snapshot, whole in written:
        undecided = snapshot.model_copy(update={"decision": None})
        if whole:
            await ledger.record(order, undecided)
        else:
            await ledger.record_since(order.settlement_id, 0, undecided)
    assert await faults(engine) == []


async def test_the_chain_stays_valid_after_an_erasure(ledger: Ledger, engine: AsyncEngine) -> None:
    """An erasure replaces each personal text by its token, and deletes the salts."""
    order = settlement(metadata="call +49 30 1234")
    await ledger.record(order, resolved(3))
    async with unguarded(engine) as connection:
        for table in (external_calls, operator_actions):
            for row in (await connection.execute(select(table))).mappings():
                erased = {
                    name: token(row["salt"], name, row[name]) for name in PERSONAL[table.name] if row[name] is not None
                }
                same = (table.c.settlement_id == row["settlement_id"], table.c.chain_position == row["chain_position"])
                await connection.execute(update(table).where(*same).values(**erased, salt=""))
        row = (await connection.execute(select(settlements))).mappings().one()
        adjust = row["input"]["adjust"]
        hidden = {name: token(row["salt"], name, adjust[name]) for name in PERSONAL_OF_ORDER}
        values = {"input": row["input"] | {"adjust": adjust | hidden}, "user_name": hidden["userName"], "salt": ""}
        await connection.execute(update(settlements).values(values))
    assert await faults(engine) == []
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert found.settlement.adjust.userName.startswith("erased-")
    async with engine.connect() as connection:
        everything = (await connection.execute(text("SELECT input FROM settlements"))).scalars().all()
    assert "+49 30" not in str(everything)
