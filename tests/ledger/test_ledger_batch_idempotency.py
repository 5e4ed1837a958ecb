"""A key creates at most one batch: a repeated request returns it, and another request is rejected."""

import asyncio

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Batches
from ledger.batch_retry.batches import CreatedBatch, KeyReusedError
from settlement.batch_retry import BatchRetryRequest, BatchSelection
from settlement.operator_rules import RetryReason
from tests.ledger.batch_records import COMPANY, LATER, batch_request, settlement_row
from tests.ledger.conftest import OpenEngine, insert_rows
from tests.ledger.samples import NOON


async def test_the_same_request_with_the_same_key_returns_the_same_batch(batches: Batches, engine: AsyncEngine) -> None:
    await insert_rows(engine, [settlement_row()])
    first = await batches.create(batch_request(1), "ops-1", NOON, key="k")
    before = await batches.find(first.batch_id)
    await insert_rows(engine, [settlement_row()])
    again = await batches.create(batch_request(1), "ops-1", LATER, key="k")
    assert (first.is_new, again) == (True, CreatedBatch(first.batch_id, is_new=False))
    assert await batches.find(first.batch_id) == before


async def test_requests_without_a_key_or_with_keys_of_other_operators_create_other_batches(
    batches: Batches, engine: AsyncEngine
) -> None:
    await insert_rows(engine, [settlement_row()])
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
    await insert_rows(engine, [settlement_row()])
    first = await batches.create(batch_request(1), "ops-1", NOON, key="k")
    with pytest.raises(KeyReusedError) as refused:
        await batches.create(other, "ops-1", LATER, key="k")
    assert (refused.value.batch_id, refused.value.fields) == (first.batch_id, fields)
    assert [each.batch_id for each in await batches.newest(10)] == [first.batch_id]


async def test_of_concurrent_requests_with_one_key_exactly_one_creates_the_batch(
    open_one: OpenEngine, database_url: str
) -> None:
    several = [Batches(open_one(database_url)) for _ in range(4)]
    await insert_rows(open_one(database_url), [settlement_row(), settlement_row()])
    results = await asyncio.gather(*(each.create(batch_request(2), "ops-1", NOON, key="k") for each in several * 3))
    assert sum(each.is_new for each in results) == 1
    (number,) = {each.batch_id for each in results}
    assert len((await several[0].items(number, 0, 10)).items) == 2


async def test_another_unique_violation_is_an_error_and_not_a_repeated_request(
    batches: Batches, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a batch that was never created would be reported as existing."""
    await insert_rows(engine, [settlement_row()])
    first = await batches.create(batch_request(1), "ops-1", NOON, key="k")
    monkeypatch.setattr("ledger.batch_retry.batches.new_batch_id", lambda: first.batch_id)
    with pytest.raises(IntegrityError):
        await batches.create(batch_request(1), "ops-1", LATER, key="another")
