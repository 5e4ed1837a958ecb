"""Reads with the scope of a key, on both databases: only settlements, batches and findings of its companies."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Batches, Findings, Ledger, SettlementFilter
from settlement.batch_retry import BatchRetryRequest, BatchSelection
from settlement.exposure import ExposureBy
from settlement.operator_rules import RetryReason
from settlement.reconciliation import FindingKind, FindingStatus
from settlement.scope import EVERYTHING, Scope
from settlement.states import Decision, State
from tests.ledger.samples import NOON, accepted
from tests.support.orders import id_of, settlement

TWO = Scope((1, 2))
ABORTED = accepted(version=1, state=State.ABORTED, decision=Decision.VOID, decided_at=NOON)


@pytest.fixture
async def numbers(ledger: Ledger) -> dict[str, int | None]:
    """Write ABORTED settlements of three companies and of none; return the company by number, newest first."""
    written: dict[str, int | None] = {}
    for second in range(12):
        company = (1, 2, 3, None)[second % 4]
        order = settlement(accepted_at=NOON + timedelta(seconds=second)).model_copy(update={"company_id": company})
        await ledger.accept(order, accepted())
        await ledger.record(order, ABORTED)
        written = {order.adjust.requestUniqueNo: company, **written}
    return written


async def listed(ledger: Ledger, where: SettlementFilter) -> list[str]:
    """Return the numbers of all pages, with two settlements on each."""
    found, after = [], None
    while True:
        page = await ledger.page(where, after=after, limit=2)
        found += [each.settlement_id.number for each in page.settlements]
        after = page.after
        if after is None:
            return found


async def test_settlements_are_those_of_the_scope(ledger: Ledger, numbers: dict[str, int | None]) -> None:
    """With a filter that finds few rows, and without one, when each company is read by its own index."""
    of_two = [number for number, company in numbers.items() if company in {1, 2}]
    for where in ({}, {"state": State.ABORTED}, {"currency": "USD"}, {"accepted_from": NOON}):
        assert await listed(ledger, SettlementFilter(scope=TWO, **where)) == of_two
        assert await listed(ledger, SettlementFilter(**where)) == list(numbers)
        assert await listed(ledger, SettlementFilter(scope=TWO, company_id=3, **where)) == []
    for number, company in numbers.items():
        found, events = await ledger.find(id_of(number), TWO), await ledger.events(id_of(number), -1, TWO)
        assert (found is not None, events is not None) == (company in {1, 2},) * 2
        assert await ledger.find(id_of(number), EVERYTHING) is not None


@pytest.mark.usefixtures("numbers")
async def test_exposure_adds_up_the_scope(ledger: Ledger) -> None:
    for by in ExposureBy:
        exposure = await ledger.exposure(NOON + timedelta(minutes=1), by, TWO)
        assert [(total.count, total.amount) for total in exposure.totals] == [(6, "75.00")]
        assert {line.company_id for line in exposure.lines} == {1, 2}


@pytest.mark.usefixtures("numbers")
async def test_batches_are_those_that_name_a_company_of_the_scope(engine: AsyncEngine) -> None:
    batches = Batches(engine)
    made = {}
    for index, (selection, count) in enumerate(
        ((BatchSelection(company_id=1), 3), (BatchSelection(company_id=3), 3), (BatchSelection(all=True), 12))
    ):
        request = BatchRetryRequest(selection=selection, reason_code=RetryReason.OTHER, note="n", expected_count=count)
        at = NOON + timedelta(seconds=index)
        made[index] = (await batches.create(request, "ops-1", at, key_id="0123456789abcdef")).batch_id
    assert [each.batch_id for each in await batches.newest(10, TWO)] == [made[0]]
    assert [each.batch_id for each in await batches.newest(10)] == [made[2], made[1], made[0]]
    assert [await batches.find(each, TWO) is not None for each in made.values()] == [True, False, False]
    assert (await batches.newest(1, TWO))[0].key_id == "0123456789abcdef"
    preview = await batches.preview(BatchSelection(all=True), TWO)
    assert (preview.count, {line.company_id for line in preview.lines}) == (6, {1, 2})


async def test_findings_are_those_about_settlements_of_the_scope(
    engine: AsyncEngine, numbers: dict[str, int | None]
) -> None:
    """A repeated finding keeps its company. One about no settlement, or an unknown one, has none."""
    record = Findings(engine)
    for number in (*numbers, "lost", None):
        about = None if number is None else id_of(number)
        for round_at in (NOON, NOON + timedelta(minutes=1)):
            await record.report(FindingKind.WORKFLOW_STUCK, about, "", round_started_at=round_at)
    of_two = [number for number, company in numbers.items() if company in {1, 2}]
    for status in (None, FindingStatus.OPEN):
        page = await record.page(status=status, before=None, limit=50, scope=TWO)
        assert sorted(str(each.request_unique_no) for each in page.items) == sorted(of_two)
        ids = [each.finding_id for each in page.items]
        assert ids == sorted(ids, reverse=True)
        assert len((await record.page(status=status, before=None, limit=50)).items) == len(numbers) + 2
    for each in (await record.page(status=None, before=None, limit=50)).items:
        assert (await record.find(each.finding_id, TWO) is not None) == (each.company_id in {1, 2})
