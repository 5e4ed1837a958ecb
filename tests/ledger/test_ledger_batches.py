"""Batch records on both databases: selection, items, outcomes and idempotency."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Batches, Ledger
from ledger.batch_retry.batches import BATCH_PAGE_MAX, CreatedBatch, KeyReusedError, SelectionChangedError
from ledger.rows import settlement_values
from ledger.tables import batch_items, settlements
from settlement.batch_retry import BATCH_ITEMS_MAX, BatchRetryRequest, BatchSelection, BatchState, ItemOutcome
from settlement.calls import Rule
from settlement.exposure import CurrencyTotal
from settlement.operator_rules import RetryReason
from settlement.snapshot import Snapshot
from settlement.states import CancelResult, State
from tests.ledger.conftest import OpenEngine
from tests.ledger.samples import EAST, NOON, Fields, act
from tests.support.orders import new_number, settlement

COMPANY = 4711
OF_COMPANY = BatchSelection(company_id=COMPANY)
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def batches(engine: AsyncEngine) -> Batches:
    return Batches(engine)


def row(second: float = 0, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any column
    """Return the row of a settlement of the company, ABORTED by default."""
    order = settlement(accepted_at=NOON + timedelta(seconds=second), requestUniqueNo=new_number())
    snapshot = Snapshot(version=4, state=State.ABORTED, updated_at=NOON)
    return settlement_values(order, snapshot) | {"company_id": COMPANY, "last_rule": Rule.DEADLINE.value} | fields


async def insert_settlements(engine: AsyncEngine, rows: Iterable[dict[str, Any]]) -> list[str]:
    """Insert settlements into the ledger and return their numbers."""
    values = list(rows)
    async with engine.begin() as connection:
        await connection.execute(insert(settlements), values)
    return [each["request_unique_no"] for each in values]


def batch_request(count: int, selection: BatchSelection = OF_COMPANY, **fields: Any) -> BatchRetryRequest:  # noqa: ANN401 - passed on as it is
    least: Fields = {"reason_code": RetryReason.BROKER_RECOVERED, "note": "broker is back", "rate_per_s": 2.5}
    return BatchRetryRequest(selection=selection, expected_count=count, **least | fields)


async def created(batches: Batches, count: int, **fields: Any) -> str:  # noqa: ANN401 - passed on as it is
    """Create a batch of this many settlements and return its id."""
    return (await batches.create(batch_request(count, **fields), "ops-1", NOON)).batch_id


async def outcomes(batches: Batches, batch: str) -> dict[int, ItemOutcome]:
    return {item.position: item.outcome for item in (await batches.items(batch, 0, 200)).items}


async def test_a_preview_without_settlements_is_empty(batches: Batches) -> None:
    preview = await batches.preview(OF_COMPANY)
    assert (preview.count, preview.totals) == (0, ())
    assert (preview.oldest_accepted_at, preview.newest_accepted_at) == (None, None)


async def test_a_preview_sums_absolute_amounts_exactly(batches: Batches, engine: AsyncEngine) -> None:
    amounts = ["0.1", "0.2", "-0.30", "9" * 30 + ".000000001", "0.000000000000000001"]
    await insert_settlements(engine, [row(second, amount=amount) for second, amount in enumerate(amounts)])
    await insert_settlements(
        engine, [row(9, currency="JPY", amount="7")] + [row(5, currency="JPY", amount="-3") for _ in range(3)]
    )
    preview = await batches.preview(OF_COMPANY)
    assert preview.count == 9
    assert preview.totals == (
        CurrencyTotal(currency="JPY", count=4, amount="16"),
        CurrencyTotal(currency="USD", count=5, amount="9" * 30 + ".600000001000000001"),
    )
    assert (preview.oldest_accepted_at, preview.newest_accepted_at) == (NOON, NOON + timedelta(seconds=9))


@pytest.mark.parametrize("state", [state for state in State if state is not State.ABORTED])
async def test_only_aborted_settlements_are_selected(batches: Batches, engine: AsyncEngine, state: State) -> None:
    await insert_settlements(engine, [row(state=state.value)])
    assert (await batches.preview(OF_COMPANY)).count == 0


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        ({"company_id": COMPANY}, {"old", "new", "refused"}),
        ({"company_id": 1}, {"other"}),
        ({"cause": Rule.CODE_FAILURE}, {"refused"}),
        ({"company_id": COMPANY, "cause": Rule.DEADLINE}, {"old", "new"}),
        ({"from_": NOON + timedelta(seconds=1)}, {"new", "refused", "other", "nobody"}),
        ({"to": NOON + timedelta(seconds=1)}, {"old"}),
        ({"from_": NOON.astimezone(EAST), "to": NOON + timedelta(seconds=1, microseconds=1)}, {"old", "new"}),
        ({"company_id": COMPANY, "from_": NOON + timedelta(seconds=2), "cause": Rule.DEADLINE}, set()),
        ({"from_": LATER, "to": NOON}, set()),
    ],
)
async def test_filters_of_a_selection_are_combined_with_and(
    batches: Batches, engine: AsyncEngine, selection: dict[str, Any], chosen: set[str]
) -> None:
    """`from` is inclusive and `to` exclusive, so adjacent ranges do not overlap."""
    rows = {
        "old": row(0),
        "new": row(1),
        "refused": row(2, last_rule=Rule.CODE_FAILURE.value),
        "other": row(3, company_id=1),
        "nobody": row(4, company_id=None),
    }
    await insert_settlements(engine, rows.values())
    named = BatchSelection(**selection)
    assert (await batches.preview(named)).count == len(chosen)
    if chosen:
        batch = await created(batches, len(chosen), selection=named)
        found = {item.request_unique_no for item in (await batches.items(batch, 0, 200)).items}
        assert found == {rows[name]["request_unique_no"] for name in chosen}


async def test_pending_items_are_in_order_of_acceptance(batches: Batches, engine: AsyncEngine) -> None:
    third, first, second = await insert_settlements(engine, [row(3), row(1), row(2)])
    batch = await created(batches, 3)
    pending = await batches.pending(batch, 2)
    assert [(each.position, each.number, each.state, each.retried) for each in pending] == [
        (1, first, State.ABORTED, False),
        (2, second, State.ABORTED, False),
    ]
    assert [each.number for each in await batches.pending(batch, 10)] == [first, second, third]


@pytest.mark.parametrize("expected", [1, 3, BATCH_ITEMS_MAX])
async def test_an_unexpected_count_creates_no_batch(batches: Batches, engine: AsyncEngine, expected: int) -> None:
    await insert_settlements(engine, [row(), row()])
    with pytest.raises(SelectionChangedError) as refused:
        await batches.create(batch_request(expected), "ops-1", NOON)
    assert refused.value.count == 2
    assert await batches.newest(10) == []
    async with engine.connect() as connection:
        assert (await connection.execute(select(batch_items))).all() == []


async def test_too_many_settlements_create_no_batch(
    batches: Batches, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.queries.batch_retry.BATCH_ITEMS_MAX", 3)
    await insert_settlements(engine, [row() for _ in range(5)])
    with pytest.raises(SelectionChangedError) as refused:
        await batches.create(batch_request(3), "ops-1", NOON)
    assert refused.value.count == 4


async def test_the_largest_batch_is_created_within_the_statement_timeout(batches: Batches, engine: AsyncEngine) -> None:
    await insert_settlements(engine, [row(second) for second in range(BATCH_ITEMS_MAX)])
    batch = await created(batches, BATCH_ITEMS_MAX)
    found = await batches.find(batch)
    assert found is not None
    assert (found.count, found.outcomes) == (BATCH_ITEMS_MAX, {ItemOutcome.PENDING: BATCH_ITEMS_MAX})


async def test_the_same_request_with_the_same_key_returns_the_same_batch(batches: Batches, engine: AsyncEngine) -> None:
    await insert_settlements(engine, [row()])
    first = await batches.create(batch_request(1), "ops-1", NOON, key="k")
    before = await batches.find(first.batch_id)
    await insert_settlements(engine, [row()])
    again = await batches.create(batch_request(1), "ops-1", LATER, key="k")
    assert (first.is_new, again) == (True, CreatedBatch(first.batch_id, is_new=False))
    assert await batches.find(first.batch_id) == before


async def test_requests_without_a_key_or_with_keys_of_other_operators_create_other_batches(
    batches: Batches, engine: AsyncEngine
) -> None:
    await insert_settlements(engine, [row()])
    asked = [("ops-1", None), ("ops-1", None), ("ops-1", "k"), ("ops-2", "k"), ("ops-1", "K")]
    begun_ones = [await batches.create(batch_request(1), operator, NOON, key=key) for operator, key in asked]
    assert all(each.is_new for each in begun_ones)
    assert len({each.batch_id for each in begun_ones}) == len(asked)


@pytest.mark.parametrize(
    ("other", "fields"),
    [
        (batch_request(2), ("expectedCount",)),
        (batch_request(1, note="another"), ("note",)),
        (batch_request(1, reason_code=RetryReason.OTHER, rate_per_s=2.6), ("reasonCode", "ratePerS")),
        (batch_request(1, BatchSelection(company_id=COMPANY, to=LATER)), ("selection",)),
    ],
)
async def test_another_request_with_a_used_key_is_rejected_with_the_fields_that_differ(
    batches: Batches, engine: AsyncEngine, other: BatchRetryRequest, fields: tuple[str, ...]
) -> None:
    await insert_settlements(engine, [row()])
    first = await batches.create(batch_request(1), "ops-1", NOON, key="k")
    with pytest.raises(KeyReusedError) as refused:
        await batches.create(other, "ops-1", LATER, key="k")
    assert (refused.value.batch_id, refused.value.fields) == (first.batch_id, fields)
    assert [each.batch_id for each in await batches.newest(10)] == [first.batch_id]


async def test_of_concurrent_requests_with_one_key_exactly_one_creates_the_batch(
    open_one: OpenEngine, database_url: str
) -> None:
    several = [Batches(open_one(database_url)) for _ in range(4)]
    await insert_settlements(open_one(database_url), [row(), row()])
    results = await asyncio.gather(*(each.create(batch_request(2), "ops-1", NOON, key="k") for each in several * 3))
    assert sum(each.is_new for each in results) == 1
    (number,) = {each.batch_id for each in results}
    assert len((await several[0].items(number, 0, 10)).items) == 2


async def test_another_unique_violation_is_an_error_and_not_a_repeated_request(
    batches: Batches, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a batch that was never created would be reported as existing."""
    await insert_settlements(engine, [row()])
    first = await batches.create(batch_request(1), "ops-1", NOON, key="k")
    monkeypatch.setattr("ledger.batch_retry.batches.new_batch_id", lambda: first.batch_id)
    with pytest.raises(IntegrityError):
        await batches.create(batch_request(1), "ops-1", LATER, key="another")


async def test_a_batch_is_read_back_as_requested(batches: Batches, engine: AsyncEngine) -> None:
    await insert_settlements(engine, [row(amount="-12.50"), row(1, amount="0.5"), row(2, amount="3", currency="EUR")])
    selection = BatchSelection.model_validate({"companyId": COMPANY, "cause": Rule.DEADLINE, "to": LATER, "from": NOON})
    batch = await created(batches, 3, selection=selection, note="Ünï ☂ %s")
    found = await batches.find(batch)
    assert found is not None
    assert (found.state, found.operator, found.reason_code) == (BatchState.RUNNING, "ops-1", "BROKER_RECOVERED")
    assert (found.note, found.selection, found.rate_per_s) == ("Ünï ☂ %s", selection, 2.5)
    assert (found.created_at, found.ended_at, found.count) == (NOON, None, 3)
    assert [(each.currency, each.count, each.amount) for each in found.totals] == [("EUR", 1, "3"), ("USD", 2, "13.00")]
    assert (found.outcomes, found.states) == ({ItemOutcome.PENDING: 3}, {State.ABORTED: 3})


async def test_the_first_outcome_of_an_item_stays(batches: Batches, engine: AsyncEngine) -> None:
    await insert_settlements(engine, [row(), row(1)])
    batch = await created(batches, 2)
    await batches.write_outcome(batch, 1, ItemOutcome.RETRIED, "back to CANCELLING", NOON)
    await batches.write_outcome(batch, 1, ItemOutcome.FAILED, "too late", LATER)
    await batches.write_outcome(batch, 9, ItemOutcome.FAILED, "no such position", LATER)
    first, second = (await batches.items(batch, 0, 10)).items
    assert (first.outcome, first.detail, first.at) == (ItemOutcome.RETRIED, "back to CANCELLING", NOON)
    assert (second.outcome, second.detail, second.at) == (ItemOutcome.PENDING, "", None)
    assert [each.position for each in await batches.pending(batch, 10)] == [2]


async def test_progress_counts_outcomes_and_current_states(batches: Batches, engine: AsyncEngine) -> None:
    states = (State.CANCELLED, State.CANCELLED, State.ABORTED, State.RESOLVED)
    aborted = [row(second) for second in range(4)]
    numbers = await insert_settlements(engine, aborted)
    batch = await created(batches, 4)
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
    await insert_settlements(engine, [row(), row(1)])
    batch = await created(batches, 2)
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
    await insert_settlements(engine, [row()])
    batch = await created(batches, 1)
    await batches.end(batch, BatchState.STOPPED, NOON)
    await batches.write_outcome(batch, 1, ItemOutcome.RETRIED, "", NOON)
    assert await outcomes(batches, batch) == {1: ItemOutcome.RETRIED}


async def test_an_item_whose_audit_has_the_batchs_retry_counts_as_retried(
    batches: Batches, engine: AsyncEngine
) -> None:
    """The retry was done and only its outcome was lost, so this batch must not retry it again."""
    orders = [settlement(accepted_at=NOON + timedelta(seconds=second)) for second in range(2)]
    before = Snapshot(version=1, state=State.ABORTED, updated_at=NOON)
    await insert_settlements(engine, [settlement_values(order, before) | {"company_id": COMPANY} for order in orders])
    batch, other = await created(batches, 2), await created(batches, 2)
    by_hand, by_batch = act(note=f"broker is back (batch {batch})"), act(note="broker is back", batch_id=batch)
    done = Snapshot(version=2, state=State.ABORTED, updated_at=NOON, actions=(by_hand,))
    await Ledger(engine).record(orders[0], done)
    assert [each.retried for each in await batches.pending(batch, 10)] == [False, False]
    done = Snapshot(version=3, state=State.ABORTED, updated_at=NOON, actions=(by_hand, by_batch))
    await Ledger(engine).record(orders[0], done)
    assert [each.retried for each in await batches.pending(batch, 10)] == [True, False]
    assert [each.retried for each in await batches.pending(other, 10)] == [False, False]


async def test_pages_of_items_contain_every_item_once(batches: Batches, engine: AsyncEngine) -> None:
    numbers = await insert_settlements(engine, [row(second) for second in range(7)])
    batch = await created(batches, 7)
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
    await insert_settlements(engine, [row(), row()])
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
