"""A decision never changes, because the platform acts on it."""

import asyncio

import pytest

from ledger import Ledger
from ledger.conflicts import DecisionConflictError
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import Decision, State
from tests.ledger.samples import NOON, accepted, growing
from tests.support.orders import settlement

PROCEED = Snapshot(version=5, state=State.SETTLED, decision=Decision.PROCEED, decided_at=NOON, updated_at=NOON)


async def recorded(ledger: Ledger, order: SettlementInput) -> Snapshot:
    """Return the ledger's snapshot."""
    found = await ledger.find(order.settlement_id)
    assert found is not None
    return found.snapshot


@pytest.mark.parametrize("version", [1, 5, 9])
async def test_the_opposite_decision_raises_and_changes_nothing(ledger: Ledger, version: int) -> None:
    """It does not matter whether its version is older or newer."""
    order = settlement()
    await ledger.record(order, growing(5))
    with pytest.raises(DecisionConflictError, match=order.adjust.requestUniqueNo):
        await ledger.record(order, PROCEED.model_copy(update={"version": version}))
    assert await recorded(ledger, order) == growing(5)


async def test_a_newer_snapshot_with_the_same_decision_is_written(ledger: Ledger) -> None:
    order = settlement()
    assert await ledger.record(order, growing(5))
    assert await ledger.record(order, growing(6))
    assert await recorded(ledger, order) == growing(6)


async def test_an_undecided_settlement_accepts_either_decision(ledger: Ledger) -> None:
    for decided in (growing(5), PROCEED):
        order = settlement()
        await ledger.accept(order, accepted())
        await ledger.record(order, accepted(version=2))
        assert await ledger.record(order, decided)
        assert await recorded(ledger, order) == decided


async def test_an_older_snapshot_without_a_decision_is_ignored(ledger: Ledger) -> None:
    order = settlement()
    await ledger.record(order, growing(5))
    assert not await ledger.record(order, accepted(version=4))
    assert await recorded(ledger, order) == growing(5)


async def test_no_snapshot_removes_a_decision(ledger: Ledger) -> None:
    """Not even a newer one: after a reset in Temporal, a workflow can have less information than the ledger."""
    order = settlement()
    await ledger.record(order, growing(5))
    assert not await ledger.record(order, accepted(version=9))
    assert await recorded(ledger, order) == growing(5)


async def test_of_two_concurrent_decisions_one_is_written(ledgers: list[Ledger]) -> None:
    order = settlement()
    answers = await asyncio.gather(
        *(each.record(order, snapshot) for each, snapshot in zip(ledgers, [growing(4), PROCEED] * 2, strict=True)),
        return_exceptions=True,
    )
    stays = await recorded(ledgers[0], order)
    assert stays in {growing(4), PROCEED}
    assert [isinstance(answer, DecisionConflictError) for answer in answers] == [
        snapshot != stays for snapshot in [growing(4), PROCEED] * 2
    ]
