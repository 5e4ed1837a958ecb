"""Batches: what they select, what they work on, and what came of it, exact and once, on both databases."""

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
    """Return the row of a settlement of the company, aborted unless told otherwise."""
    order = settlement(accepted_at=NOON + timedelta(seconds=second), requestUniqueNo=new_number())
    snapshot = Snapshot(version=4, state=State.ABORTED, updated_at=NOON)
    return settlement_values(order, snapshot) | {"company_id": COMPANY, "last_rule": Rule.DEADLINE.value} | fields


async def fill(engine: AsyncEngine, rows: Iterable[dict[str, Any]]) -> list[str]:
    """Put settlements into the ledger and return their numbers."""
    values = list(rows)
    async with engine.begin() as connection:
        await connection.execute(insert(settlements), values)
    return [each["request_unique_no"] for each in values]


def order_of(count: int, selection: BatchSelection = OF_COMPANY, **fields: Any) -> BatchRetryRequest:  # noqa: ANN401
    least: Fields = {"reason_code": RetryReason.BROKER_RECOVERED, "note": "broker is back", "rate_per_s": 2.5}
    return BatchRetryRequest(selection=selection, expected_count=count, **least | fields)


async def begun(batches: Batches, count: int, **fields: Any) -> str:  # noqa: ANN401
    """Begin a batch over so many settlements and return its id."""
    return (await batches.create(order_of(count, **fields), "ops-1", NOON)).batch_id


async def outcomes(batches: Batches, batch: str) -> dict[int, ItemOutcome]:
    return {item.position: item.outcome for item in (await batches.items(batch, 0, 200)).items}


async def test_preview_of_nothing_counts_nothing(batches: Batches) -> None:
    preview = await batches.preview(OF_COMPANY)
    assert (preview.count, preview.totals) == (0, ())
    assert (preview.oldest_accepted_at, preview.newest_accepted_at) == (None, None)


async def test_preview_counts_and_sums_exactly_without_signs(batches: Batches, engine: AsyncEngine) -> None:
    amounts = ["0.1", "0.2", "-0.30", "9" * 30 + ".000000001", "0.000000000000000001"]
    await fill(engine, [row(second, amount=amount) for second, amount in enumerate(amounts)])
    await fill(engine, [row(9, currency="JPY", amount="7")] + [row(5, currency="JPY", amount="-3") for _ in range(3)])
    preview = await batches.preview(OF_COMPANY)
    assert preview.count == 9
    assert preview.totals == (
        CurrencyTotal(currency="JPY", count=4, amount="16"),
        CurrencyTotal(currency="USD", count=5, amount="9" * 30 + ".600000001000000001"),
    )
    assert (preview.oldest_accepted_at, preview.newest_accepted_at) == (NOON, NOON + timedelta(seconds=9))


@pytest.mark.parametrize("state", [state for state in State if state is not State.ABORTED])
async def test_only_aborted_ones_are_selected(batches: Batches, engine: AsyncEngine, state: State) -> None:
    await fill(engine, [row(state=state.value)])
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
async def test_every_part_of_a_selection_must_fit(
    batches: Batches, engine: AsyncEngine, selection: dict[str, Any], chosen: set[str]
) -> None:
    """From is included, to is not: two ranges side by side have nothing twice."""
    rows = {
        "old": row(0),
        "new": row(1),
        "refused": row(2, last_rule=Rule.CODE_FAILURE.value),
        "other": row(3, company_id=1),
        "nobody": row(4, company_id=None),
    }
    await fill(engine, rows.values())
    named = BatchSelection(**selection)
    assert (await batches.preview(named)).count == len(chosen)
    if chosen:
        batch = await begun(batches, len(chosen), selection=named)
        found = {item.request_unique_no for item in (await batches.items(batch, 0, 200)).items}
        assert found == {rows[name]["request_unique_no"] for name in chosen}


async def test_a_batch_works_in_order_of_acceptance(batches: Batches, engine: AsyncEngine) -> None:
    third, first, second = await fill(engine, [row(3), row(1), row(2)])
    batch = await begun(batches, 3)
    pending = await batches.pending(batch, 2)
    assert [(each.position, each.number, each.state, each.retried) for each in pending] == [
        (1, first, State.ABORTED, False),
        (2, second, State.ABORTED, False),
    ]
    assert [each.number for each in await batches.pending(batch, 10)] == [first, second, third]


@pytest.mark.parametrize("expected", [1, 3, BATCH_ITEMS_MAX])
async def test_another_count_than_expected_begins_nothing(batches: Batches, engine: AsyncEngine, expected: int) -> None:
    await fill(engine, [row(), row()])
    with pytest.raises(SelectionChangedError) as refused:
        await batches.create(order_of(expected), "ops-1", NOON)
    assert refused.value.count == 2
    assert await batches.newest(10) == []
    async with engine.connect() as connection:
        assert (await connection.execute(select(batch_items))).all() == []


async def test_more_than_a_batch_may_have_begin_nothing(
    batches: Batches, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.queries.batch_retry.BATCH_ITEMS_MAX", 3)
    await fill(engine, [row() for _ in range(5)])
    with pytest.raises(SelectionChangedError) as refused:
        await batches.create(order_of(3), "ops-1", NOON)
    assert refused.value.count == 4


async def test_the_largest_batch_is_begun_within_a_statements_time(batches: Batches, engine: AsyncEngine) -> None:
    await fill(engine, [row(second) for second in range(BATCH_ITEMS_MAX)])
    batch = await begun(batches, BATCH_ITEMS_MAX)
    found = await batches.find(batch)
    assert found is not None
    assert (found.count, found.outcomes) == (BATCH_ITEMS_MAX, {ItemOutcome.PENDING: BATCH_ITEMS_MAX})


async def test_the_same_order_under_the_same_key_is_the_same_batch(batches: Batches, engine: AsyncEngine) -> None:
    await fill(engine, [row()])
    first = await batches.create(order_of(1), "ops-1", NOON, key="k")
    before = await batches.find(first.batch_id)
    await fill(engine, [row()])
    again = await batches.create(order_of(1), "ops-1", LATER, key="k")
    assert (first.is_new, again) == (True, CreatedBatch(first.batch_id, is_new=False))
    assert await batches.find(first.batch_id) == before


async def test_without_a_key_or_with_another_operators_each_order_is_another_batch(
    batches: Batches, engine: AsyncEngine
) -> None:
    await fill(engine, [row()])
    asked = [("ops-1", None), ("ops-1", None), ("ops-1", "k"), ("ops-2", "k"), ("ops-1", "K")]
    begun_ones = [await batches.create(order_of(1), operator, NOON, key=key) for operator, key in asked]
    assert all(each.is_new for each in begun_ones)
    assert len({each.batch_id for each in begun_ones}) == len(asked)


@pytest.mark.parametrize(
    ("other", "fields"),
    [
        (order_of(2), ("expectedCount",)),
        (order_of(1, note="another"), ("note",)),
        (order_of(1, reason_code=RetryReason.OTHER, rate_per_s=2.6), ("reasonCode", "ratePerS")),
        (order_of(1, BatchSelection(company_id=COMPANY, to=LATER)), ("selection",)),
    ],
)
async def test_another_order_under_a_key_is_refused_by_name(
    batches: Batches, engine: AsyncEngine, other: BatchRetryRequest, fields: tuple[str, ...]
) -> None:
    await fill(engine, [row()])
    first = await batches.create(order_of(1), "ops-1", NOON, key="k")
    with pytest.raises(KeyReusedError) as refused:
        await batches.create(other, "ops-1", LATER, key="k")
    assert (refused.value.batch_id, refused.value.fields) == (first.batch_id, fields)
    assert [each.batch_id for each in await batches.newest(10)] == [first.batch_id]


async def test_of_many_who_begin_one_batch_one_does(open_one: OpenEngine, database_url: str) -> None:
    several = [Batches(open_one(database_url)) for _ in range(4)]
    await fill(open_one(database_url), [row(), row()])
    results = await asyncio.gather(*(each.create(order_of(2), "ops-1", NOON, key="k") for each in several * 3))
    assert sum(each.is_new for each in results) == 1
    (number,) = {each.batch_id for each in results}
    assert len((await several[0].items(number, 0, 10)).items) == 2


async def test_what_breaks_another_rule_of_the_database_is_an_error_and_no_repeat(
    batches: Batches, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read as "it exists already", a batch that was never begun would be answered for."""
    await fill(engine, [row()])
    first = await batches.create(order_of(1), "ops-1", NOON, key="k")
    monkeypatch.setattr("ledger.batch_retry.batches.new_batch_id", lambda: first.batch_id)
    with pytest.raises(IntegrityError):
        await batches.create(order_of(1), "ops-1", LATER, key="another")


async def test_a_batch_reads_back_as_it_was_ordered(batches: Batches, engine: AsyncEngine) -> None:
    await fill(engine, [row(amount="-12.50"), row(1, amount="0.5"), row(2, amount="3", currency="EUR")])
    selection = BatchSelection.model_validate({"companyId": COMPANY, "cause": Rule.DEADLINE, "to": LATER, "from": NOON})
    batch = await begun(batches, 3, selection=selection, note="Ünï ☂ %s")
    found = await batches.find(batch)
    assert found is not None
    assert (found.state, found.operator, found.reason_code) == (BatchState.RUNNING, "ops-1", "BROKER_RECOVERED")
    assert (found.note, found.selection, found.rate_per_s) == ("Ünï ☂ %s", selection, 2.5)
    assert (found.created_at, found.ended_at, found.count) == (NOON, None, 3)
    assert [(each.currency, each.count, each.amount) for each in found.totals] == [("EUR", 1, "3"), ("USD", 2, "13.00")]
    assert (found.outcomes, found.states) == ({ItemOutcome.PENDING: 3}, {State.ABORTED: 3})


async def test_the_first_outcome_of_an_item_stays(batches: Batches, engine: AsyncEngine) -> None:
    await fill(engine, [row(), row(1)])
    batch = await begun(batches, 2)
    await batches.write_outcome(batch, 1, ItemOutcome.RETRIED, "back to CANCELLING", NOON)
    await batches.write_outcome(batch, 1, ItemOutcome.FAILED, "too late", LATER)
    await batches.write_outcome(batch, 9, ItemOutcome.FAILED, "no such position", LATER)
    first, second = (await batches.items(batch, 0, 10)).items
    assert (first.outcome, first.detail, first.at) == (ItemOutcome.RETRIED, "back to CANCELLING", NOON)
    assert (second.outcome, second.detail, second.at) == (ItemOutcome.PENDING, "", None)
    assert [each.position for each in await batches.pending(batch, 10)] == [2]


async def test_progress_counts_outcomes_and_where_the_settlements_stand_now(
    batches: Batches, engine: AsyncEngine
) -> None:
    states = (State.CANCELLED, State.CANCELLED, State.ABORTED, State.RESOLVED)
    aborted = [row(second) for second in range(4)]
    numbers = await fill(engine, aborted)
    batch = await begun(batches, 4)
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
async def test_the_first_end_of_a_batch_stays_and_leaves_nothing_to_do(
    batches: Batches, engine: AsyncEngine, state: BatchState
) -> None:
    await fill(engine, [row(), row(1)])
    batch = await begun(batches, 2)
    await batches.end(batch, state, NOON)
    for other in BatchState:
        await batches.end(batch, other, LATER)
    found = await batches.find(batch)
    assert found is not None
    assert (found.state, found.ended_at) == (state, NOON)
    assert await batches.pending(batch, 10) == []
    assert await batches.running(10) == []
    assert (await batches.progress(batch)).state is state


async def test_what_was_under_way_when_a_batch_was_stopped_still_gets_its_outcome(
    batches: Batches, engine: AsyncEngine
) -> None:
    await fill(engine, [row()])
    batch = await begun(batches, 1)
    await batches.end(batch, BatchState.STOPPED, NOON)
    await batches.write_outcome(batch, 1, ItemOutcome.RETRIED, "", NOON)
    assert await outcomes(batches, batch) == {1: ItemOutcome.RETRIED}


async def test_an_item_whose_audit_has_the_batchs_act_is_known_as_retried(
    batches: Batches, engine: AsyncEngine
) -> None:
    """Its retry was carried out and only the outcome was lost: it must not be retried for this batch again."""
    orders = [settlement(accepted_at=NOON + timedelta(seconds=second)) for second in range(2)]
    before = Snapshot(version=1, state=State.ABORTED, updated_at=NOON)
    await fill(engine, [settlement_values(order, before) | {"company_id": COMPANY} for order in orders])
    batch, other = await begun(batches, 2), await begun(batches, 2)
    by_hand, by_batch = act(note=f"broker is back (batch {batch})"), act(note="broker is back", batch_id=batch)
    done = Snapshot(version=2, state=State.ABORTED, updated_at=NOON, actions=(by_hand,))
    await Ledger(engine).record(orders[0], done)
    assert [each.retried for each in await batches.pending(batch, 10)] == [False, False]
    done = Snapshot(version=3, state=State.ABORTED, updated_at=NOON, actions=(by_hand, by_batch))
    await Ledger(engine).record(orders[0], done)
    assert [each.retried for each in await batches.pending(batch, 10)] == [True, False]
    assert [each.retried for each in await batches.pending(other, 10)] == [False, False]


async def test_pages_of_items_make_up_the_whole_report(batches: Batches, engine: AsyncEngine) -> None:
    numbers = await fill(engine, [row(second) for second in range(7)])
    batch = await begun(batches, 7)
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
    await fill(engine, [row(), row()])
    second, first, third = [
        (await batches.create(order_of(2), "ops-1", NOON + timedelta(minutes=minute))).batch_id for minute in (2, 1, 3)
    ]
    assert [batch.batch_id for batch in await batches.newest(2)] == [third, second]
    assert [batch.batch_id for batch in await batches.running(10)] == [first, second, third]
    assert [batch.batch_id for batch in await batches.running(2)] == [first, second]
    assert [batch.count for batch in await batches.newest(BATCH_PAGE_MAX)] == [2, 2, 2]


async def test_a_batch_that_is_not_there_has_nothing_to_do(batches: Batches) -> None:
    """As after a restore from a backup: its workflow must find an end."""
    assert await batches.find("b-1") is None
    assert await batches.pending("b-1", 10) == []
    progress = await batches.progress("b-1")
    assert (progress.state, progress.pending) == (BatchState.STOPPED, 0)
    assert (await batches.items("b-1", 0, 10)).next_after is None
