"""A filter finds what a plain loop over all settlements finds, in the same order, page by page."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from contract.calls import Rule
from contract.payloads import SettlementInput, Snapshot
from contract.states import CancelResult, State
from ledger import Ledger, SettlementFilter
from tests.ledger.samples import NOON, accepted, call, resolved
from tests.support.orders import settlement

Known = list[tuple[SettlementInput, Snapshot]]


async def filled(ledger: Ledger) -> Known:
    """Record settlements that differ in everything that can be searched by."""
    known: Known = []
    parts = itertools.product(("USD", "JPY"), (7, 8, None), (State.ABORTED, State.CANCELLED))
    for index, (currency, company_id, state) in enumerate(parts):
        order = settlement(
            currency=currency,
            orderId=index % 3,
            userName=f"user-{index % 2}",
            accepted_at=NOON + timedelta(seconds=index // 2),
        ).model_copy(update={"company_id": company_id})
        cancelled = state is State.CANCELLED
        snapshot = resolved(
            3,
            state=state,
            cancel_result=CancelResult.REVERSED if cancelled else None,
            calls=(call(verdict=call().verdict.model_copy(update={"rule": list(Rule)[index % 4]})),),
        )
        await ledger.record(order, snapshot)
        known.append((order, snapshot))
    return known


MOMENT = NOON + timedelta(seconds=3)
FILTERS: dict[str, tuple[SettlementFilter, Callable[[SettlementInput, Snapshot], Any]]] = {
    "nothing": (SettlementFilter(), lambda _, __: True),
    "state": (SettlementFilter(state=State.ABORTED), lambda _, snapshot: snapshot.state is State.ABORTED),
    "order": (SettlementFilter(order_id=2), lambda order, _: order.adjust.orderId == 2),
    "order zero": (SettlementFilter(order_id=0), lambda order, _: order.adjust.orderId == 0),
    "user": (SettlementFilter(user_name="user-1"), lambda order, _: order.adjust.userName == "user-1"),
    "company": (SettlementFilter(company_id=7), lambda order, _: order.company_id == 7),
    "currency": (SettlementFilter(currency="JPY"), lambda order, _: order.adjust.currency == "JPY"),
    "cancel result": (
        SettlementFilter(cancel_result=CancelResult.REVERSED),
        lambda _, snapshot: snapshot.cancel_result is CancelResult.REVERSED,
    ),
    "cause": (
        SettlementFilter(cause=Rule.DEADLINE),
        lambda _, snapshot: snapshot.calls[-1].verdict.rule is Rule.DEADLINE,
    ),
    "from, inclusive": (SettlementFilter(accepted_from=MOMENT), lambda order, _: order.accepted_at >= MOMENT),
    "to, exclusive": (SettlementFilter(accepted_before=MOMENT), lambda order, _: order.accepted_at < MOMENT),
    "several": (
        SettlementFilter(state=State.ABORTED, company_id=7, currency="USD"),
        lambda order, snapshot: (snapshot.state, order.company_id, order.adjust.currency) == (State.ABORTED, 7, "USD"),
    ),
    "none fits": (SettlementFilter(user_name="nobody"), lambda _, __: False),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_filter_finds_what_a_loop_finds(ledger: Ledger, name: str) -> None:
    where, fits = FILTERS[name]
    known = await filled(ledger)
    wanted = [order for order, snapshot in known if fits(order, snapshot)]
    wanted.sort(key=lambda order: (order.accepted_at, order.adjust.requestUniqueNo), reverse=True)
    numbers, after = [], None
    while True:
        page = await ledger.page(where, after=after, limit=2)
        numbers += [each.number for each in page.settlements]
        if (after := page.after) is None:
            break
    assert numbers == [order.adjust.requestUniqueNo for order in wanted]


async def test_a_filter_of_today_does_not_find_what_was_never_decided(ledger: Ledger) -> None:
    order = settlement()
    await ledger.accept(order, accepted())
    assert (await ledger.page(SettlementFilter(cause=Rule.DEADLINE), limit=10)).settlements == ()
    assert len((await ledger.page(SettlementFilter(state=State.ADJUSTING), limit=10)).settlements) == 1
