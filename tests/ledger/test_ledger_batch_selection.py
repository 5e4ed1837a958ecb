"""A batch contains exactly the aborted settlements that its selection matches, or it is not created."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Batches
from ledger.batch_retry.batches import SelectionChangedError
from ledger.tables import batch_items
from settlement.batch_retry import BATCH_ITEMS_MAX, BatchSelection, ItemOutcome
from settlement.calls import Rule
from settlement.exposure import CurrencyTotal
from settlement.states import State
from tests.ledger.batch_records import COMPANY, LATER, OF_COMPANY, batch_request, created_batch, settlement_row
from tests.ledger.conftest import insert_rows
from tests.ledger.samples import EAST, NOON


async def test_a_preview_without_settlements_is_empty(batches: Batches) -> None:
    preview = await batches.preview(OF_COMPANY)
    assert (preview.count, preview.totals) == (0, ())
    assert (preview.oldest_accepted_at, preview.newest_accepted_at) == (None, None)


async def test_a_preview_sums_absolute_amounts_exactly(batches: Batches, engine: AsyncEngine) -> None:
    amounts = ["0.1", "0.2", "-0.30", "9" * 30 + ".000000001", "0.000000000000000001"]
    await insert_rows(engine, [settlement_row(second, amount=amount) for second, amount in enumerate(amounts)])
    await insert_rows(
        engine,
        [settlement_row(9, currency="JPY", amount="7")]
        + [settlement_row(5, currency="JPY", amount="-3") for _ in range(3)],
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
    await insert_rows(engine, [settlement_row(state=state.value)])
    assert (await batches.preview(OF_COMPANY)).count == 0


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        ({"company_id": COMPANY}, {"old", "new", "refused"}),
        ({"company_id": 1}, {"other"}),
        ({"system": "beta"}, {"other", "nobody"}),
        ({"system": "beta", "company_id": 1}, {"other"}),
        ({"system": "beta", "company_id": COMPANY}, set()),
        ({"system": "gone"}, set()),
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
        "old": settlement_row(0),
        "new": settlement_row(1),
        "refused": settlement_row(2, last_rule=Rule.CODE_FAILURE.value),
        "other": settlement_row(3, company_id=1, system="beta"),
        "nobody": settlement_row(4, company_id=None, system="beta"),
    }
    await insert_rows(engine, rows.values())
    named = BatchSelection(**selection)
    assert (await batches.preview(named)).count == len(chosen)
    if chosen:
        batch = await created_batch(batches, len(chosen), selection=named)
        found = {item.request_unique_no for item in (await batches.items(batch, 0, 200)).items}
        assert found == {rows[name]["request_unique_no"] for name in chosen}


@pytest.mark.parametrize("expected", [1, 3, BATCH_ITEMS_MAX])
async def test_an_unexpected_count_creates_no_batch(batches: Batches, engine: AsyncEngine, expected: int) -> None:
    await insert_rows(engine, [settlement_row(), settlement_row()])
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
    await insert_rows(engine, [settlement_row() for _ in range(5)])
    with pytest.raises(SelectionChangedError) as refused:
        await batches.create(batch_request(3), "ops-1", NOON)
    assert refused.value.count == 4


async def test_the_largest_batch_is_created_within_the_statement_timeout(batches: Batches, engine: AsyncEngine) -> None:
    await insert_rows(engine, [settlement_row(second) for second in range(BATCH_ITEMS_MAX)])
    batch = await created_batch(batches, BATCH_ITEMS_MAX)
    found = await batches.find(batch)
    assert found is not None
    assert (found.count, found.outcomes) == (BATCH_ITEMS_MAX, {ItemOutcome.PENDING: BATCH_ITEMS_MAX})
