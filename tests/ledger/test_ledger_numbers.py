"""A requestUniqueNo is unique at its external system, and among the orders of its company at all external systems."""

import asyncio

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Findings, Ledger, NumberConflictError, NumberReusedError, SettlementFilter
from ledger.tables import external_calls, settlements, state_changes
from settlement.reconciliation import FindingKind
from settlement.scope import Scope
from settlement.start import SettlementInput
from tests.ledger.samples import NOON, accepted, growing, resolved
from tests.support.orders import id_of, new_number, settlement

ALPHA, BETA = "alpha", "beta"
COMPANIES = [7, None]
RACES = 10


def two_orders(number: str = "N-1") -> tuple[SettlementInput, SettlementInput]:
    """Return the orders of two companies at two external systems with one number."""
    alpha = settlement(requestUniqueNo=number, system=ALPHA, company_id=7)
    beta = settlement(requestUniqueNo=number, system=BETA, company_id=8, amount="99.00")
    return alpha, beta


async def test_two_systems_can_have_the_same_number(ledger: Ledger) -> None:
    """Each settlement has its own record, audit, events and version."""
    alpha, beta = two_orders()
    assert [(await ledger.accept(each, accepted()))[1] for each in (alpha, beta)] == [True, True]
    await ledger.record(alpha, growing(3))
    await ledger.record(beta, resolved(2))
    for order, snapshot in ((alpha, growing(3)), (beta, resolved(2))):
        found = await ledger.find(order.settlement_id)
        events = await ledger.events(order.settlement_id, -1)
        assert found is not None
        assert (found.settlement.system, found.settlement.adjust.amount) == (order.system, order.adjust.amount)
        assert (found.snapshot.state, len(found.snapshot.calls)) == (snapshot.state, len(snapshot.calls))
        assert events is not None
        assert {each.event.system for each in events.events} == {order.system}
        assert len(events.events) == 1 + len(snapshot.state_changes)
    assert await ledger.versions([alpha.settlement_id, beta.settlement_id]) == {
        alpha.settlement_id: 3,
        beta.settlement_id: 2,
    }


async def test_both_settlements_of_a_number_are_named_and_listed(ledger: Ledger) -> None:
    for order in two_orders():
        await ledger.accept(order, accepted())
    both = [id_of("N-1", ALPHA), id_of("N-1", BETA)]
    assert await ledger.with_number("N-1") == both
    assert await ledger.with_number("N-1", Scope((8, 9))) == both[1:]
    assert await ledger.with_number("N-1", Scope((9,))) == []
    page = await ledger.page(SettlementFilter(request_unique_no="N-1"), limit=10)
    assert sorted(each.settlement_id for each in page.settlements) == both
    first = await ledger.page(SettlementFilter(request_unique_no="N-1"), limit=1)
    second = await ledger.page(SettlementFilter(request_unique_no="N-1"), limit=1, after=first.after)
    assert sorted(each.settlement_id for each in (*first.settlements, *second.settlements)) == both


@pytest.mark.parametrize("company_id", COMPANIES)
async def test_a_repeated_order_of_a_company_that_has_moved_is_the_first_settlement(
    ledger: Ledger, company_id: int | None
) -> None:
    """A second settlement would be a second adjust."""
    first = settlement(requestUniqueNo="N-1", system=ALPHA, company_id=company_id)
    await ledger.accept(first, accepted())
    found, is_new = await ledger.accept(first.model_copy(update={"system": BETA}), accepted())
    assert (found.settlement_id, is_new) == (first.settlement_id, False)
    other = settlement(requestUniqueNo="N-1", system=BETA, company_id=company_id, amount="99.00")
    with pytest.raises(NumberReusedError) as refused:
        await ledger.accept(other, accepted())
    assert refused.value.fields == ("amount",)
    assert refused.value.accepted.settlement_id == first.settlement_id
    assert await ledger.with_number("N-1") == [first.settlement_id]
    known = await ledger.find_of_company("N-1", company_id)
    assert known is not None
    assert known.settlement_id == first.settlement_id


@pytest.mark.parametrize("company_id", [8, None])
async def test_another_company_cannot_have_the_number_at_the_same_system(
    ledger: Ledger, company_id: int | None
) -> None:
    """The broker sees no company in a body, so it would take the second order for a repetition of the first."""
    first = settlement(requestUniqueNo="N-1", system=ALPHA, company_id=7)
    await ledger.accept(first, accepted())
    with pytest.raises(NumberReusedError) as refused:
        await ledger.accept(first.model_copy(update={"company_id": company_id}), accepted())
    assert refused.value.fields == ("companyId",)
    assert await ledger.find_of_company("N-1", company_id) is None


async def test_the_companys_own_settlement_comes_before_one_at_the_system(ledger: Ledger) -> None:
    """Company 8 has moved to a system where another company uses the number: it gets its own settlement."""
    alpha, beta = two_orders()
    for order in (alpha, beta):
        await ledger.accept(order, accepted())
    found, is_new = await ledger.accept(beta.model_copy(update={"system": ALPHA}), accepted())
    assert (found.settlement_id, is_new) == (beta.settlement_id, False)


@pytest.mark.parametrize("company_id", COMPANIES)
async def test_of_concurrent_orders_of_one_company_at_two_systems_one_is_accepted(
    ledgers: list[Ledger], company_id: int | None
) -> None:
    """API processes that have read different files of external systems race for one number."""
    for _ in range(RACES):
        order = settlement(requestUniqueNo=new_number(), company_id=company_id)
        at_systems = [order.model_copy(update={"system": system}) for system in (ALPHA, BETA) * len(ledgers)]
        answers = await asyncio.gather(
            *(ledgers[i % len(ledgers)].accept(each, accepted()) for i, each in enumerate(at_systems))
        )
        assert [is_new for _, is_new in answers].count(True) == 1
        assert len({record.settlement_id for record, _ in answers}) == 1
        assert len(await ledgers[0].with_number(order.adjust.requestUniqueNo)) == 1


async def test_of_concurrent_orders_of_two_companies_at_two_systems_both_are_accepted(ledgers: list[Ledger]) -> None:
    for _ in range(RACES):
        orders = two_orders(new_number()) * len(ledgers)
        answers = await asyncio.gather(
            *(ledgers[i % len(ledgers)].accept(each, accepted()) for i, each in enumerate(orders))
        )
        assert [is_new for _, is_new in answers].count(True) == 2


async def test_concurrent_records_of_a_lost_row_write_it_once(ledgers: list[Ledger], engine: AsyncEngine) -> None:
    """Two unique keys are violated at once; that must not look like a conflict of two settlements."""
    for _ in range(RACES):
        order = settlement(requestUniqueNo=new_number())
        written = await asyncio.gather(
            *(each.record(order, growing(version)) for version in (1, 2) for each in ledgers), return_exceptions=True
        )
        assert not [each for each in written if isinstance(each, NumberConflictError)]
        assert True in written
        assert await ledgers[0].with_number(order.adjust.requestUniqueNo) == [order.settlement_id]
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(settlements))).scalar_one() == RACES


@pytest.mark.parametrize("company_id", COMPANIES)
async def test_a_second_settlement_of_an_order_is_not_recorded(
    ledger: Ledger, engine: AsyncEngine, company_id: int | None
) -> None:
    """A restored backup lacked the first settlement, and its company had moved. An operator must compare the books."""
    known = settlement(requestUniqueNo="N-1", system=BETA, company_id=company_id)
    await ledger.accept(known, accepted())
    with pytest.raises(NumberConflictError, match="alpha:N-1: the ledger has beta:N-1"):
        await ledger.record(known.model_copy(update={"system": ALPHA}), resolved(3))
    assert await ledger.with_number("N-1") == [known.settlement_id]
    async with engine.connect() as connection:
        for table in (external_calls, state_changes):
            assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 0


async def test_findings_about_two_settlements_with_one_number_are_two_findings(
    ledger: Ledger, engine: AsyncEngine
) -> None:
    alpha, beta = two_orders()
    findings = Findings(engine)
    for order in (alpha, beta):
        await ledger.accept(order, accepted())
        await findings.report(FindingKind.WORKFLOW_STUCK, order.settlement_id, "it is", round_started_at=NOON)
    page = await findings.page(status=None, before=None, limit=10)
    assert [(each.system, each.company_id) for each in page.items] == [(BETA, 8), (ALPHA, 7)]
    assert {each.request_unique_no for each in page.items} == {"N-1"}
    assert await findings.is_open(FindingKind.WORKFLOW_STUCK, beta.settlement_id)
