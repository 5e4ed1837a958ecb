"""Gauges for alerts: counts, sums and ages over the whole ledger, consistent with each other."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Select, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Findings, Gauges, Ledger, gauges
from ledger.tables import reconciliation_rounds
from settlement.calls import Rule, Verdict
from settlement.reconciliation import FindingKind, FindingStatus
from settlement.snapshot import Snapshot
from settlement.states import END_STATES, Outcome, State
from tests.ledger.conftest import elsewhere
from tests.ledger.samples import NOON, accepted, call
from tests.support.orders import id_of, settlement

NOTHING = Gauges(
    open_by_state={},
    oldest_cancelling_at=None,
    in_doubt=0,
    in_doubt_amounts={},
    open_findings={},
    findings={},
    last_round_at=None,
)
REFUSED = Verdict(outcome=Outcome.REJECTED, rule=Rule.CODE_FAILURE)


async def record(
    ledger: Ledger,
    state: State,
    *,
    verdict: Verdict | None = None,
    at: datetime = NOON,
    **order: Any,  # noqa: ANN401 - any field of an order
) -> None:
    """Write a settlement with this acceptance time and state; by default its adjust is UNKNOWN."""
    accepted_order = settlement(accepted_at=at, **order)
    adjust = call() if verdict is None else call(verdict=verdict)
    await ledger.accept(accepted_order, accepted())
    await ledger.record(accepted_order, Snapshot(version=1, state=state, updated_at=NOON, calls=(adjust,)))


def a_round(name: str, ended_at: datetime) -> dict[str, Any]:
    counts = dict.fromkeys(("ledger_checked", "temporal_checked", "found", "repaired"), 0)
    return {"round_id": name, "started_at": NOON, "ended_at": ended_at, "complete": True, **counts}


async def test_gauges_of_an_empty_ledger_are_empty(ledger: Ledger) -> None:
    assert await ledger.gauges() == NOTHING


async def test_open_settlements_are_counted_by_state(ledger: Ledger) -> None:
    for count, state in enumerate(State, start=1):
        for _ in range(count):
            await record(ledger, state)
    expected = {state: count for count, state in enumerate(State, start=1) if state not in END_STATES}
    assert (await ledger.gauges()).open_by_state == expected


async def test_the_oldest_cancelling_settlement_is_the_one_accepted_first(ledger: Ledger) -> None:
    for hours, state in enumerate([State.SETTLED, State.ABORTED, State.CANCELLING, State.CANCELLING]):
        await record(ledger, state, at=NOON + timedelta(hours=hours))
    assert (await ledger.gauges()).oldest_cancelling_at == NOON + timedelta(hours=2)


async def test_money_in_doubt_is_the_sum_of_absolute_amounts_by_currency(ledger: Ledger) -> None:
    """A deduction in doubt does not offset a credit in doubt. A rejected adjust is not in doubt."""
    await record(ledger, State.ABORTED, amount="12.50")
    await record(ledger, State.CANCELLING, amount="-0.25", operationType="ABNORMAL_OVERTRADING")
    await record(ledger, State.ABORTED, amount="3000", currency="JPY", amountDigits=0)
    await record(ledger, State.CANCELLING, amount="99", verdict=REFUSED)
    for state in END_STATES:
        await record(ledger, state, amount="1000")
    seen = await ledger.gauges()
    assert seen.in_doubt_amounts == pytest.approx({"USD": 12.75, "JPY": 3000})
    assert seen.in_doubt == 3


async def test_only_open_findings_are_counted_by_kind(ledger: Ledger, engine: AsyncEngine) -> None:
    record, stuck, missing = Findings(engine), FindingKind.WORKFLOW_STUCK, FindingKind.WORKFLOW_MISSING
    seen_ones = [(stuck, "N-1"), (stuck, "N-2"), (stuck, "N-3"), (missing, "N-1"), (missing, "N-4")]
    ids = [await record.report(kind, id_of(number), "", round_started_at=NOON) for kind, number in seen_ones]
    for finding, status in ((ids[2], FindingStatus.REPAIRED), (ids[4], FindingStatus.CLEARED)):
        assert finding is not None
        await record.close(finding, status, "put right, or gone", NOON)
    seen = await ledger.gauges()
    assert seen.open_findings == {stuck: 2, missing: 1}
    assert seen.findings == {stuck: 3, missing: 2}


async def test_a_finding_counts_once_even_if_reported_repeatedly(
    ledger: Ledger, ledgers: list[Ledger], engine: AsyncEngine
) -> None:
    """Repeated in one round or several, by one worker or several. A new finding after it was closed counts again."""
    stuck = FindingKind.WORKFLOW_STUCK
    records = [Findings(each.engine) for each in ledgers]
    found = await asyncio.gather(*(each.report(stuck, id_of("N-1"), "", round_started_at=NOON) for each in records * 3))
    (finding,) = set(found)
    assert finding is not None
    await records[0].report(stuck, id_of("N-1"), "", round_started_at=NOON + timedelta(minutes=1))
    assert (await ledger.gauges()).findings == {stuck: 1}
    await records[0].close(finding, FindingStatus.CLEARED, "gone", NOON)
    await Findings(engine).report(stuck, id_of("N-1"), "", round_started_at=NOON)
    assert (await ledger.gauges()).findings == {stuck: 2}


async def test_the_last_round_is_the_one_that_ended_last(ledger: Ledger, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        rounds = [a_round("r-1", NOON), a_round("r-3", NOON + timedelta(minutes=2)), a_round("r-2", NOON)]
        await connection.execute(insert(reconciliation_rounds), rounds)
    assert (await ledger.gauges()).last_round_at == NOON + timedelta(minutes=2)


async def test_gauges_are_consistent_with_each_other(
    ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A concurrent write is in none of the gauges, not in some of them."""
    await record(ledger, State.ABORTED)
    count = gauges._counts  # noqa: SLF001 - between two of its statements

    def counted_while_one_is_written(connection: Connection, query: Select[Any]) -> dict[str, int]:
        elsewhere(database_url, lambda other: record(other, State.ABORTED))
        return count(connection, query)

    monkeypatch.setattr(gauges, "_counts", counted_while_one_is_written)
    seen = await ledger.gauges()
    assert (seen.in_doubt, seen.open_by_state) == (1, {State.ABORTED: 1})
