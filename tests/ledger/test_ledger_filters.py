"""A list contains exactly the settlements that match all filters, in order."""

import itertools
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger, SettlementFilter
from ledger.rows import settlement_values
from settlement.calls import Rule
from settlement.states import CancelResult, State
from tests.ledger.conftest import insert_rows
from tests.ledger.samples import EAST, NOON, accepted
from tests.support.orders import settlement

Rows = list[dict[str, Any]]

STATES = [State.ADJUSTING, State.SETTLED, State.CANCELLED, State.ABORTED]
RESULTS = [None, *CancelResult]
SYSTEMS = ["default", "alpha"]
CAUSES = [None, Rule.HTTP_STATUS, Rule.DEADLINE]
MOMENTS = [NOON + timedelta(microseconds=each) for each in (-1, 0, 1, 2_000_000)]


def row(**values: object) -> dict[str, Any]:
    """Return the row of a settlement with these columns."""
    return settlement_values(settlement(), accepted()) | values


def varied_rows() -> Rows:
    """Return rows with many combinations of the filtered columns, at equal and close acceptance times."""
    mixed = itertools.product(STATES, [1, 2], ["u-1", "U-1", "u"], [None, 7, 8], ["USD", "EUR"])
    return [
        row(
            state=state.value,
            order_id=order_id,
            user_name=user_name,
            company_id=company_id,
            system=SYSTEMS[index % 2],
            currency=currency,
            cancel_result=RESULTS[index % 4],
            last_rule=CAUSES[index % 3],
            accepted_at=MOMENTS[index % 4],
        )
        for index, (state, order_id, user_name, company_id, currency) in enumerate(mixed)
    ]


class Filled:
    """The ledger's rows. It has no repr, because hypothesis would print all of them."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows


@pytest.fixture
async def filled(engine: AsyncEngine) -> Filled:
    """Insert the varied rows into the ledger."""
    rows = varied_rows()
    await insert_rows(engine, rows)
    return Filled(rows)


filters = st.builds(
    SettlementFilter,
    state=st.none() | st.sampled_from(STATES),
    order_id=st.none() | st.sampled_from([1, 2, 3]),
    user_name=st.none() | st.sampled_from(["u-1", "U-1", "u%"]),
    company_id=st.none() | st.sampled_from([7, 8, 9]),
    system=st.none() | st.sampled_from([*SYSTEMS, "ALPHA"]),
    currency=st.none() | st.sampled_from(["USD", "EUR", "usd"]),
    cancel_result=st.sampled_from(RESULTS),
    cause=st.sampled_from(CAUSES),
    accepted_from=st.none() | st.sampled_from(MOMENTS).map(lambda moment: moment.astimezone(EAST)),
    accepted_before=st.none() | st.sampled_from(MOMENTS),
)


def matches(one: dict[str, Any], chosen: SettlementFilter) -> bool:
    """Return whether a row matches a filter, by a simple reference implementation."""
    pairs = [
        (chosen.request_unique_no, "request_unique_no"),
        (chosen.state, "state"),
        (chosen.order_id, "order_id"),
        (chosen.user_name, "user_name"),
        (chosen.company_id, "company_id"),
        (chosen.system, "system"),
        (chosen.currency, "currency"),
        (chosen.cancel_result, "cancel_result"),
        (chosen.cause, "last_rule"),
    ]
    if any(wanted is not None and one[name] != wanted for wanted, name in pairs):
        return False
    if chosen.cause is not None and one["state"] not in {State.CANCELLING, State.ABORTED}:
        return False
    late_enough = chosen.accepted_from is None or one["accepted_at"] >= chosen.accepted_from
    return late_enough and (chosen.accepted_before is None or one["accepted_at"] < chosen.accepted_before)


async def numbers_on_all_pages(ledger: Ledger, chosen: SettlementFilter, limit: int) -> list[str]:
    """Return the numbers on all pages, in order."""
    numbers: list[str] = []
    after = None
    while True:
        page = await ledger.page(chosen, after=after, limit=limit)
        numbers += (each.settlement_id.number for each in page.settlements)
        after = page.after
        if after is None:
            return numbers


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=filters, limit=st.integers(1, 40))
async def test_pages_contain_exactly_the_matching_rows_newest_first(
    ledger: Ledger, filled: Filled, chosen: SettlementFilter, limit: int
) -> None:
    """Compared with the reference implementation, for any combination of filters and any page size."""
    expected = [one for one in filled.rows if matches(one, chosen)]
    listed = await numbers_on_all_pages(ledger, chosen, limit)
    moments = {one["request_unique_no"]: one["accepted_at"] for one in filled.rows}
    assert sorted(listed) == sorted(one["request_unique_no"] for one in expected)
    assert [moments[number] for number in listed] == sorted((one["accepted_at"] for one in expected), reverse=True)


ALONE: list[dict[str, Any]] = [
    {"state": State.ABORTED},
    {"order_id": 1},
    {"user_name": "u-1"},
    {"company_id": 7},
    {"system": "alpha"},
    {"currency": "EUR"},
    {"cancel_result": CancelResult.REVERSED},
    {"cause": Rule.DEADLINE},
    *({"accepted_from": moment} for moment in MOMENTS[1:]),
    *({"accepted_before": moment} for moment in MOMENTS[1:]),
]


async def test_each_filter_alone_matches_some_rows_and_not_others(ledger: Ledger, filled: Filled) -> None:
    """Includes the exact acceptance times: the start of a range is inclusive, its end exclusive."""
    alone = [*ALONE, {"request_unique_no": filled.rows[0]["request_unique_no"]}]
    assert {name for part in alone for name in part} == set(SettlementFilter.__dataclass_fields__) - {"scope"}
    for part in alone:
        chosen = SettlementFilter(**part)
        expected = sorted(one["request_unique_no"] for one in filled.rows if matches(one, chosen))
        assert 0 < len(expected) < len(filled.rows)
        assert sorted(await numbers_on_all_pages(ledger, chosen, 50)) == expected


async def test_a_settlement_without_a_call_has_no_cause(ledger: Ledger) -> None:
    await ledger.accept(settlement(), accepted())
    assert (await ledger.page(SettlementFilter(cause=Rule.DEADLINE), limit=10)).settlements == ()
    assert len((await ledger.page(SettlementFilter(state=State.ADJUSTING), limit=10)).settlements) == 1
