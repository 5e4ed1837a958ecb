"""Every row that was changed, deleted or inserted past the triggers is found, with its settlement and position."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import Ledger
from ledger.audit.anchors import Anchor, AnchorError, compare, make_anchor, read_anchors
from ledger.audit.chains import FaultKind
from ledger.audit.verification import AUDIT_TABLES
from ledger.chain import hash_of_row
from ledger.tables import external_calls, settlements, state_changes
from tests.ledger.samples import resolved
from tests.ledger.test_ledger_chain import faults
from tests.support.orders import id_of, settlement
from tests.support.tampering import unguarded

NUMBERS = ("N-1", "N-2", "N-3")
VICTIM = id_of("N-2")
Found = list[tuple[str, str, int | None, FaultKind]]


@pytest.fixture
async def written(ledger: Ledger) -> Ledger:
    """Write three settlements: 3 calls, 2 operator actions and 2 state changes each, at the chain positions 1 to 7."""
    for number in NUMBERS:
        await ledger.record(settlement(requestUniqueNo=number), resolved(9))
    return ledger


def of_victim(table: Table, chain_position: int | None = None) -> ColumnElement[bool]:
    """Return the condition that finds the rows of a settlement, or one of them."""
    found: ColumnElement[bool] = table.c.settlement_id == VICTIM
    return found if chain_position is None else found & (table.c.chain_position == chain_position)


async def found_in(engine: AsyncEngine) -> Found:
    return [each[:4] for each in await faults(engine)]


@pytest.mark.parametrize(
    ("table", "position", "values"),
    [
        (external_calls, 1, {"outcome": "APPLIED"}),
        (external_calls, 2, {"msg": "another"}),
        (external_calls, 3, {"duration_ms": None}),
        (external_calls, 3, {"salt": "0" * 32}),
        (external_calls, 1, {"position": 5}),
        (AUDIT_TABLES[1], 4, {"operator": "somebody"}),
        (AUDIT_TABLES[1], 5, {"note": "because"}),
        (state_changes, 6, {"state": "SETTLED"}),
        (state_changes, 7, {"at": datetime(2030, 1, 1, tzinfo=UTC)}),
        (state_changes, 7, {"recorded_at": datetime(2030, 1, 1, tzinfo=UTC)}),
    ],
)
async def test_a_changed_row_is_found(written: Ledger, table: Table, position: int, values: dict[str, Any]) -> None:
    async with unguarded(written.engine) as connection:
        await connection.execute(update(table).where(of_victim(table, position)).values(values))
    assert await found_in(written.engine) == [(str(VICTIM), table.name, position, FaultKind.CHANGED)]


async def test_a_changed_row_with_a_new_hash_is_found_at_the_row_behind_it(written: Ledger) -> None:
    async with unguarded(written.engine) as connection:
        query = select(external_calls).where(of_victim(external_calls)).order_by(external_calls.c.chain_position)
        first, second, _ = (await connection.execute(query)).mappings().all()
        forged = dict(second) | {"outcome": "APPLIED"}
        changed = {"outcome": "APPLIED", "row_hash": hash_of_row("external_calls", forged, first["row_hash"])}
        await connection.execute(update(external_calls).where(of_victim(external_calls, 2)).values(changed))
    assert await found_in(written.engine) == [(str(VICTIM), "external_calls", 3, FaultKind.CHANGED)]


@pytest.mark.parametrize(
    "values",
    [
        {"amount": "999.99"},
        {"user_name": "another"},
        {"company_id": 99},
        {"input": {}},
        {"input": {"adjust": {"amount": 5}}},
        {"salt": "0" * 32},
        {"acceptance_hash": "0" * 64},
        {"chain_head": "0" * 64},
    ],
)
async def test_a_changed_order_is_found(written: Ledger, values: dict[str, Any]) -> None:
    async with unguarded(written.engine) as connection:
        await connection.execute(update(settlements).where(of_victim(settlements)).values(values))
    assert await found_in(written.engine) == [(str(VICTIM), "settlements", None, FaultKind.CHANGED)]


@pytest.mark.parametrize(("position", "index"), [(1, 0), (2, 0), (3, 0), (4, 1), (6, 2), (7, 2)])
async def test_a_deleted_row_is_found(written: Ledger, position: int, index: int) -> None:
    table = AUDIT_TABLES[index]
    async with unguarded(written.engine) as connection:
        await connection.execute(delete(table).where(of_victim(table, position)))
    assert await found_in(written.engine) == [(str(VICTIM), "", position, FaultKind.DELETED)]


async def test_a_deleted_settlement_that_leaves_its_audit_is_found(written: Ledger) -> None:
    async with unguarded(written.engine) as connection:
        await connection.execute(delete(settlements).where(of_victim(settlements)))
    found = await found_in(written.engine)
    assert {(each[0], each[2], each[3]) for each in found} == {
        (str(VICTIM), position, FaultKind.DELETED) for position in range(1, 8)
    }


@pytest.mark.parametrize("chain_position", [0, 1, 3, 4, 8, 20])
async def test_an_inserted_row_is_found(written: Ledger, chain_position: int) -> None:
    """In a gap that does not exist, in place of another row, or behind the end. Inserting needs no right to change."""
    async with written.engine.begin() as connection:
        query = select(state_changes).where(of_victim(state_changes, 7))
        row = dict((await connection.execute(query)).mappings().one())
        row |= {"chain_position": chain_position, "position": 17}
        await connection.execute(insert(state_changes).values(row))
    found = await found_in(written.engine)
    assert (str(VICTIM), "state_changes", chain_position, FaultKind.INSERTED) in found
    assert {each[:2] for each in found} <= {(str(VICTIM), "state_changes"), (str(VICTIM), "external_calls")}


Tamper = Callable[[AsyncConnection], Any]


async def cut_off(connection: AsyncConnection) -> None:
    """Delete the last row of a chain, and move its end: no verification of the chain can find this."""
    query = select(state_changes.c.row_hash).where(of_victim(state_changes, 6))
    head = (await connection.execute(query)).scalar_one()
    await connection.execute(delete(state_changes).where(of_victim(state_changes, 7)))
    values = {"chain_length": 6, "chain_head": head}
    await connection.execute(update(settlements).where(of_victim(settlements)).values(values))


async def delete_whole(connection: AsyncConnection) -> None:
    """Delete a settlement with its whole audit."""
    for table in (*AUDIT_TABLES, settlements):
        await connection.execute(delete(table).where(of_victim(table)))


async def forge_whole(connection: AsyncConnection) -> None:
    """Change the last row and compute the hashes anew."""
    query = select(state_changes).where(of_victim(state_changes)).order_by(state_changes.c.chain_position)
    before, last = (await connection.execute(query)).mappings().all()
    forged = dict(last) | {"reason": "forged"}
    head = hash_of_row("state_changes", forged, before["row_hash"])
    where = of_victim(state_changes, 7)
    await connection.execute(update(state_changes).where(where).values(reason="forged", row_hash=head))
    await connection.execute(update(settlements).where(of_victim(settlements)).values(chain_head=head))


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (cut_off, [("rows", FaultKind.DELETED)]),
        (delete_whole, [("settlements", FaultKind.DELETED), ("rows", FaultKind.DELETED)]),
        (forge_whole, [("rows", FaultKind.CHANGED)]),
    ],
)
async def test_what_only_an_anchor_shows(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tamper: Tamper, expected: Sequence[tuple[str, FaultKind]]
) -> None:
    today = datetime.now(UTC)
    monkeypatch.setattr("ledger.audit.anchors.COMPLETE_AFTER", timedelta(days=-2))
    for number in NUMBERS:
        await ledger.record(settlement(requestUniqueNo=number, accepted_at=today), resolved(9))
    anchor = await make_anchor(ledger.engine, today.date())
    assert (anchor.settlements, anchor.rows) == (3, 21)
    assert await compare(ledger.engine, anchor) == []
    async with unguarded(ledger.engine) as connection:
        await tamper(connection)
    assert await faults(ledger.engine) == []
    found = await compare(ledger.engine, anchor)
    assert [(each.table, each.kind) for each in found] == expected
    assert {each.settlement for each in found} == {f"anchor {today.date()}"}


async def test_later_writes_do_not_change_an_anchor(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain of a settlement goes on on the next day."""
    monkeypatch.setattr("ledger.audit.anchors.COMPLETE_AFTER", timedelta(days=-2))
    day = datetime(2026, 3, 1, 12, tzinfo=UTC)
    order = settlement(accepted_at=day)
    await ledger.record(order, resolved(1))
    anchor = await make_anchor(ledger.engine, day.date())
    assert (anchor.settlements, anchor.rows) == (1, 0)
    await ledger.record(order, resolved(2, actions=resolved(1).actions * 2))
    assert await compare(ledger.engine, anchor) == []


async def test_no_anchor_of_a_day_that_is_not_complete(ledger: Ledger) -> None:
    with pytest.raises(AnchorError, match="is not complete"):
        await make_anchor(ledger.engine, datetime.now(UTC).date())


@pytest.mark.parametrize("line", ["", "{}", "[]", "x", '{"anchor": 2}', '{"anchor": 1, "day": "no"}'])
def test_a_file_that_has_no_anchor_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "anchors"
    good = Anchor("2026-01-05", 1, 2, "ab")
    file.write_text(f"{good.as_line()}\n\n{line}\n")
    if not line:
        assert read_anchors(file) == [good]
        return
    with pytest.raises(AnchorError, match="line 2: this is no anchor"):
        read_anchors(file)
