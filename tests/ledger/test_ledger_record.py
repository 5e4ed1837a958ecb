"""Recording keeps the highest version, in any order, with repeats and concurrent writes."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import timedelta

import pytest
from psycopg.errors import UniqueViolation
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger
from ledger.group_commit import Statements
from settlement.snapshot import Snapshot
from tests.ledger.conftest import elsewhere
from tests.ledger.samples import accepted, growing, resolved
from tests.support.ledgers import sync_engines
from tests.support.orders import id_of, settlement

VERSIONS = tuple(growing(version) for version in range(1, 13))


async def recorded(ledger: Ledger, number: str) -> Snapshot:
    """Return the ledger's snapshot of a settlement."""
    found = await ledger.find(id_of(number))
    assert found is not None
    return found.snapshot


async def test_a_newer_snapshot_replaces_the_older_with_all_its_calls_and_actions(ledger: Ledger) -> None:
    order = settlement()
    await ledger.accept(order, accepted())
    assert await ledger.record(order, growing(1))
    assert await ledger.record(order, growing(2))
    assert await recorded(ledger, order.adjust.requestUniqueNo) == growing(2)


async def test_recording_again_changes_nothing(ledger: Ledger) -> None:
    order = settlement()
    await ledger.accept(order, accepted())
    answers = [await ledger.record(order, growing(2)) for _ in range(3)]
    assert answers == [True, False, False]
    assert await recorded(ledger, order.adjust.requestUniqueNo) == growing(2)


async def test_an_older_snapshot_with_its_calls_and_actions_changes_nothing(ledger: Ledger) -> None:
    order = settlement()
    await ledger.record(order, growing(3))
    assert not await ledger.record(order, growing(2))
    assert not await ledger.record(order, accepted())
    assert await recorded(ledger, order.adjust.requestUniqueNo) == growing(3)


async def test_a_repeated_workflow_task_replaces_the_times_of_its_lost_one(ledger: Ledger) -> None:
    """Otherwise the cancel intent in the ledger would not be the one that was sent."""
    order = settlement()
    await ledger.record(order, growing(2))
    repeated = growing(2).model_copy(update={"updated_at": growing(2).updated_at + timedelta(seconds=10)})
    assert await ledger.record(order, repeated)
    assert not await ledger.record(order, growing(2)), "the write of the lost task came late"
    assert await recorded(ledger, order.adjust.requestUniqueNo) == repeated


async def test_a_snapshot_of_the_same_version_in_another_state_changes_nothing(ledger: Ledger) -> None:
    order = settlement()
    await ledger.record(order, growing(2))
    assert not await ledger.record(order, resolved(2))
    assert await recorded(ledger, order.adjust.requestUniqueNo) == growing(2)


async def test_recording_does_not_change_the_accepted_order(ledger: Ledger) -> None:
    """Order and trace stay as accepted, whatever the record contains."""
    order = settlement()
    first, _ = await ledger.accept(order, accepted())
    await ledger.record(order.model_copy(update={"trace": "another", "company_id": 8}), growing(1))
    found = await ledger.find(first.settlement_id)
    assert found is not None
    assert found.settlement == first.settlement


@pytest.mark.parametrize("snapshot", [accepted(), growing(3), resolved(9)], ids=["accepted", "growing", "resolved"])
async def test_a_lost_row_is_inserted_again(ledger: Ledger, snapshot: Snapshot) -> None:
    order = settlement()
    assert await ledger.record(order, snapshot)
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert (found.settlement, found.snapshot) == (order, snapshot)
    again, is_new = await ledger.accept(order, accepted())
    assert not is_new
    assert again == found


async def test_recording_one_settlement_does_not_change_others(ledger: Ledger) -> None:
    """Not even those whose numbers differ only in case, a trailing blank or a wildcard character."""
    orders = [settlement(requestUniqueNo=number) for number in ("n-1", "N-1", "n-1 ", "n_1", "n%1", "n-")]
    for version, order in enumerate(orders, start=1):
        await ledger.record(order, growing(version))
    for version, order in enumerate(orders, start=1):
        assert await recorded(ledger, order.adjust.requestUniqueNo) == growing(version)


@pytest.mark.parametrize("accepted_first", [True, False], ids=["accepted", "lost"])
async def test_the_highest_version_stays_in_any_order_of_writes(ledger: Ledger, *, accepted_first: bool) -> None:
    for order_of_arrival in itertools.permutations(VERSIONS[:3]):
        order = settlement()
        if accepted_first:
            await ledger.accept(order, accepted())
        answers = [await ledger.record(order, snapshot) for snapshot in order_of_arrival]
        highest = list(itertools.accumulate((each.version for each in order_of_arrival), max))
        newer = [now > before for before, now in itertools.pairwise([0, *highest])]
        assert answers == newer, [each.version for each in order_of_arrival]
        assert await recorded(ledger, order.adjust.requestUniqueNo) == VERSIONS[2]


@pytest.mark.parametrize(
    "arrivals",
    [VERSIONS, VERSIONS[::-1], (*VERSIONS[::2], *VERSIONS[1::2]), VERSIONS[6:] + VERSIONS[:6], VERSIONS * 3],
    ids=["rising", "falling", "odd-then-even", "late-then-early", "each-three-times"],
)
async def test_the_highest_version_stays_with_concurrent_writes(
    ledgers: list[Ledger], arrivals: Sequence[Snapshot]
) -> None:
    order = settlement()
    await asyncio.gather(
        *(ledgers[index % len(ledgers)].record(order, snapshot) for index, snapshot in enumerate(arrivals))
    )
    assert await recorded(ledgers[0], order.adjust.requestUniqueNo) == VERSIONS[-1]


async def test_of_concurrent_writes_of_one_version_in_two_states_one_state_is_written(ledgers: list[Ledger]) -> None:
    order = settlement()
    await ledgers[0].accept(order, accepted())
    either = (growing(2), resolved(2))
    writes = (ledgers[index % len(ledgers)].record(order, either[index % 3 % 2]) for index in range(20))
    answers = await asyncio.gather(*writes)
    written = {either[index % 3 % 2].state for index, answer in enumerate(answers) if answer}
    assert written == {(await recorded(ledgers[0], order.adjust.requestUniqueNo)).state}


async def test_concurrent_accepts_and_records_never_lose_a_version(ledgers: list[Ledger]) -> None:
    order = settlement()
    writes = [each.record(order, growing(2)) for each in ledgers] + [each.accept(order, accepted()) for each in ledgers]
    await asyncio.gather(*writes)
    assert await recorded(ledgers[0], order.adjust.requestUniqueNo) == growing(2)


async def test_a_record_that_fails_halfway_writes_nothing(ledger: Ledger, engine: AsyncEngine) -> None:
    """The settlement's row is written first. If its actions cannot be written, neither row nor calls may stay."""
    order = settlement()
    await ledger.record(order, growing(1))
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE operator_actions RENAME TO out_of_reach"))
    with pytest.raises(SQLAlchemyError):
        await ledger.record(order, growing(2))
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE out_of_reach RENAME TO operator_actions"))
    assert await recorded(ledger, order.adjust.requestUniqueNo) == growing(1)
    assert await ledger.record(order, growing(2))


async def test_a_concurrent_insert_of_the_same_settlement_is_no_conflict(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL may notice it by the key of number and company, which ON CONFLICT does not name."""
    order = settlement()

    async def insert_first(_engine: AsyncEngine, _statements: Statements[bool]) -> bool:
        monkeypatch.undo()
        await ledger.accept(order, accepted())
        raise IntegrityError("INSERT", None, UniqueViolation())

    monkeypatch.setattr("ledger.settlements.write", insert_first)
    assert await ledger.record(order, growing(2))
    assert await recorded(ledger, order.adjust.requestUniqueNo) == growing(2)


async def test_a_read_returns_a_complete_snapshot(engine: AsyncEngine, ledger: Ledger, database_url: str) -> None:
    """A concurrent write must not be visible in part."""
    order = settlement()
    await ledger.record(order, growing(1))
    written: list[bool] = []

    def write_once(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not written and statement.startswith("SELECT"):
            written.append(True)
            elsewhere(database_url, lambda other: other.record(order, growing(2)))

    for each in sync_engines(engine):
        event.listen(each, "after_cursor_execute", write_once)
    assert await recorded(ledger, order.adjust.requestUniqueNo) == growing(1)
    assert written
