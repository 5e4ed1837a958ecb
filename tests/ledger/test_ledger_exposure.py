"""Exposure counts exactly the settlements in doubt, and its sums are exact."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

import pytest

from ledger import Ledger
from settlement.calls import Rule, Verdict
from settlement.exposure import Age
from settlement.states import Outcome, State, decision_of
from tests.ledger.samples import NOON, accepted, call, resolved
from tests.support.orders import settlement

REJECTED = Verdict(outcome=Outcome.REJECTED, rule=Rule.CODE_FAILURE)
UNKNOWN = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.DEADLINE)
HUGE = "9" * 21 + "." + "9" * 18


async def record(  # noqa: PLR0913 - one argument for each thing that tells lines apart
    ledger: Ledger,
    amount: str,
    *,
    state: State = State.ABORTED,
    currency: str = "USD",
    company_id: int | None = 7,
    verdict: Verdict = UNKNOWN,
    age: timedelta = timedelta(0),
) -> None:
    """Record one settlement."""
    order = settlement(amount=amount, currency=currency, accepted_at=NOON - age)
    snapshot = resolved(2, state=state, decision=decision_of(state), calls=(call(verdict=verdict),))
    await ledger.record(order.model_copy(update={"company_id": company_id}), snapshot)


@pytest.mark.parametrize(
    ("state", "verdict", "counted"),
    [
        (State.ABORTED, UNKNOWN, True),
        (State.ABORTED, REJECTED, True),
        (State.CANCELLING, UNKNOWN, True),
        (State.CANCELLING, REJECTED, False),
        *((state, UNKNOWN, False) for state in (State.SETTLED, State.CANCELLED, State.RESOLVED, State.EXPIRED)),
    ],
)
async def test_only_amounts_that_may_be_held_for_a_void_order_count(
    ledger: Ledger, state: State, verdict: Verdict, *, counted: bool
) -> None:
    await record(ledger, "12.50", state=state, verdict=verdict)
    exposure = await ledger.exposure(NOON)
    assert [(each.currency, each.count, each.amount) for each in exposure.totals] == [("USD", 1, "12.50")] * counted


async def test_an_accepted_settlement_does_not_count(ledger: Ledger) -> None:
    await ledger.accept(settlement(), accepted())
    assert (await ledger.exposure(NOON)).totals == ()


async def test_sums_of_absolute_amounts_are_exact(ledger: Ledger) -> None:
    amounts = [HUGE, "-0.000000000000000001", "0.1", "-0.2", "0.1", "12.50"]
    for amount in amounts:
        await record(ledger, amount)
    (total,) = (await ledger.exposure(NOON)).totals
    assert Decimal(total.amount) == Decimal("1000000000000000000012.9")
    assert (total.count, "E" in total.amount) == (6, False)


async def test_lines_are_grouped_by_currency_company_state_and_age(ledger: Ledger) -> None:
    ages = {
        timedelta(seconds=59): Age.UNDER_1_MINUTE,
        timedelta(seconds=60): Age.UNDER_10_MINUTES,
        timedelta(minutes=59): Age.UNDER_1_HOUR,
        timedelta(hours=1): Age.UNDER_1_DAY,
        timedelta(days=1): Age.OLDER,
    }
    expected: defaultdict[tuple[str, int | None, State, Age], int] = defaultdict(int)
    for age, label in ages.items():
        for currency, company_id, state in (("USD", 7, State.ABORTED), ("JPY", None, State.CANCELLING)):
            for _ in range(2):
                await record(ledger, "5", currency=currency, company_id=company_id, state=state, age=age)
                expected[currency, company_id, state, label] += 1
    exposure = await ledger.exposure(NOON)
    assert {(each.currency, each.company_id, each.state, each.age): each.count for each in exposure.lines} == expected
    assert {each.amount for each in exposure.lines} == {"10"}
    assert [(each.currency, each.amount) for each in exposure.totals] == [("JPY", "50"), ("USD", "50")]
    assert min(each.oldest_accepted_at for each in exposure.lines) == NOON - timedelta(days=1)
