"""What the ledger keeps of a batch: its request, its items with their outcomes, and its end."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Batches, Ledger
from ledger.batch_retry.batches import BATCH_PAGE_MAX
from ledger.rows import settlement_values
from ledger.tables import settlements
from settlement.batch_retry import BatchSelection, BatchState, ItemOutcome
from settlement.calls import Rule
from settlement.snapshot import Snapshot
from settlement.states import CancelResult, State
from tests.ledger.batch_records import COMPANY, LATER, batch_request, created_batch, settlement_row
from tests.ledger.conftest import insert_rows
from tests.ledger.samples import NOON, act
from tests.support.orders import settlement


async def outcomes(batches: Batches, batch: str) -> dict[int, ItemOutcome]:
    return {item.position: item.outcome for item in (await batches.items(batch, 0, 200)).items}


async def test_a_batch_is_read_back_as_requested(batches: Batches, engine: AsyncEngine) -> None:
    await insert_rows(
        engine,
        [
            settlement_row(amount="-12.50"),
            settlement_row(1, amount="0.5"),
            settlement_row(2, amount="3", currency="EUR"),
        ],
    )
    selection = BatchSelection.model_validate({"companyId": COMPANY, "cause": Rule.DEADLINE, "to": LATER, "from": NOON})
    batch = await created_batch(batches, 3, selection=selection, note="Ünï ☂ %s")
    found = await batches.find(batch)
    assert found is not None
    assert (found.state, found.operator, found.reason_code) == (BatchState.RUNNING, "ops-1", "BROKER_RECOVERED")
    assert (found.note, found.selection, found.rate_per_s) == ("Ünï ☂ %s", selection, 2.5)
    assert (found.created_at, found.ended_at, found.count) == (NOON, None, 3)
    assert [(each.currency, each.count, each.amount) for each in found.totals] == [("EUR", 1, "3"), ("USD", 2, "13.00")]
    assert (found.outcomes, found.states) == ({ItemOutcome.PENDING: 3}, {State.ABORTED: 3})


async def test_pending_items_are_in_order_of_acceptance(batches: Batches, engine: AsyncEngine) -> None:
    third, first, second = await insert_rows(engine, [settlement_row(3), settlement_row(1), settlement_row(2)])
    batch = await created_batch(batches, 3)
    pending = await batches.pending(batch, 2)
    assert [(each.position, each.settlement_id.number, each.state, each.retried) for each in pending] == [
        (1, first, State.ABORTED, False),
        (2, second, State.ABORTED, False),
    ]
    assert [each.settlement_id.number for each in await batches.pending(batch, 10)] == [first, second, third]


async def test_the_first_outcome_of_an_item_stays(batches: Batches, engine: AsyncEngine) -> None:
    await insert_rows(engine, [settlement_row(), settlement_row(1)])
    batch = await created_batch(batches, 2)
    await batches.write_outcome(batch, 1, ItemOutcome.RETRIED, "back to CANCELLING", NOON)
    await batches.write_outcome(batch, 1, ItemOutcome.FAILED, "too late", LATER)
    await batches.write_outcome(batch, 9, ItemOutcome.FAILED, "no such position", LATER)
    first, second = (await batches.items(batch, 0, 10)).items
    assert (first.outcome, first.detail, first.at) == (ItemOutcome.RETRIED, "back to CANCELLING", NOON)
    assert (second.outcome, second.detail, second.at) == (ItemOutcome.PENDING, "", None)
    assert [each.position for each in await batches.pending(batch, 10)] == [2]


async def test_progress_counts_outcomes_and_current_states(batches: Batches, engine: AsyncEngine) -> None:
    states = (State.CANCELLED, State.CANCELLED, State.ABORTED, State.RESOLVED)
    aborted = [settlement_row(second) for second in range(4)]
    numbers = await insert_rows(engine, aborted)
    batch = await created_batch(batches, 4)
    came_to = (ItemOutcome.RETRIED, ItemOutcome.RETRIED, ItemOutcome.FAILED, ItemOutcome.REFUSED)
    for position, (number, state, outcome) in enumerate(zip(numbers, states, came_to, strict=True), start=1):
        await batches.write_outcome(batch, position, outcome, "", NOON)
        async with engine.begin() as connection:
            await connection.execute(
                settlements.update()
                .where(settlements.c.request_unique_no == number)
                .values(state=state.value, cancel_result="REVERSED" if state is State.CANCELLED else None)
            )
    found, progress = await batches.find(batch), await batches.progress(batch)
    assert found is not None
    assert found.outcomes == {ItemOutcome.RETRIED: 2, ItemOutcome.FAILED: 1, ItemOutcome.REFUSED: 1}
    assert found.states == {State.CANCELLED: 2, State.ABORTED: 1, State.RESOLVED: 1}
    assert (progress.retried, progress.refused, progress.failed, progress.pending) == (2, 1, 1, 0)
    items = (await batches.items(batch, 0, 10)).items
    assert [item.state for item in items] == list(states)
    assert [item.cancel_result for item in items] == [CancelResult.REVERSED, CancelResult.REVERSED, None, None]


@pytest.mark.parametrize("state", [BatchState.STOPPED, BatchState.DONE])
async def test_the_first_end_of_a_batch_stays_and_nothing_is_pending(
    batches: Batches, engine: AsyncEngine, state: BatchState
) -> None:
    await insert_rows(engine, [settlement_row(), settlement_row(1)])
    batch = await created_batch(batches, 2)
    await batches.end(batch, state, NOON)
    for other in BatchState:
        await batches.end(batch, other, LATER)
    found = await batches.find(batch)
    assert found is not None
    assert (found.state, found.ended_at) == (state, NOON)
    assert await batches.pending(batch, 10) == []
    assert await batches.running(10) == []
    assert (await batches.progress(batch)).state is state


async def test_an_item_in_progress_at_the_stop_still_gets_its_outcome(batches: Batches, engine: AsyncEngine) -> None:
    await insert_rows(engine, [settlement_row()])
    batch = await created_batch(batches, 1)
    await batches.end(batch, BatchState.STOPPED, NOON)
    await batches.write_outcome(batch, 1, ItemOutcome.RETRIED, "", NOON)
    assert await outcomes(batches, batch) == {1: ItemOutcome.RETRIED}


async def test_an_item_whose_audit_has_the_batchs_retry_counts_as_retried(
    batches: Batches, engine: AsyncEngine
) -> None:
    """The retry was done and only its outcome was lost, so this batch must not retry it again."""
    orders = [settlement(accepted_at=NOON + timedelta(seconds=second)) for second in range(2)]
    before = Snapshot(version=1, state=State.ABORTED, updated_at=NOON)
    await insert_rows(engine, [settlement_values(order, before) | {"company_id": COMPANY} for order in orders])
    batch, other = await created_batch(batches, 2), await created_batch(batches, 2)
    by_hand, by_batch = act(note=f"broker is back (batch {batch})"), act(note="broker is back", batch_id=batch)
    done = Snapshot(version=2, state=State.ABORTED, updated_at=NOON, actions=(by_hand,))
    await Ledger(engine).record(orders[0], done)
    assert [each.retried for each in await batches.pending(batch, 10)] == [False, False]
    done = Snapshot(version=3, state=State.ABORTED, updated_at=NOON, actions=(by_hand, by_batch))
    await Ledger(engine).record(orders[0], done)
    assert [each.retried for each in await batches.pending(batch, 10)] == [True, False]
    assert [each.retried for each in await batches.pending(other, 10)] == [False, False]


async def test_pages_of_items_contain_every_item_once(batches: Batches, engine: AsyncEngine) -> None:
    numbers = await insert_rows(engine, [settlement_row(second) for second in range(7)])
    batch = await created_batch(batches, 7)
    for limit in (1, 3, 7, 200):
        seen: list[str] = []
        after: int | None = 0
        while after is not None:
            page = await batches.items(batch, after, limit)
            assert 0 < len(page.items) <= limit
            seen += (item.request_unique_no for item in page.items)
            after = page.next_after
        assert seen == numbers


async def test_batches_are_listed_newest_first(batches: Batches, engine: AsyncEngine) -> None:
    await insert_rows(engine, [settlement_row(), settlement_row()])
    second, first, third = [
        (await batches.create(batch_request(2), "ops-1", NOON + timedelta(minutes=minute))).batch_id
        for minute in (2, 1, 3)
    ]
    assert [batch.batch_id for batch in await batches.newest(2)] == [third, second]
    assert [batch.batch_id for batch in await batches.running(10)] == [first, second, third]
    assert [batch.batch_id for batch in await batches.running(2)] == [first, second]
    assert [batch.count for batch in await batches.newest(BATCH_PAGE_MAX)] == [2, 2, 2]


async def test_a_missing_batch_has_nothing_pending(batches: Batches) -> None:
    """After a restored backup, the batch's workflow must still be able to end."""
    assert await batches.find("b-1") is None
    assert await batches.pending("b-1", 10) == []
    progress = await batches.progress("b-1")
    assert (progress.state, progress.pending) == (BatchState.STOPPED, 0)
    assert (await batches.items("b-1", 0, 10)).next_after is None
