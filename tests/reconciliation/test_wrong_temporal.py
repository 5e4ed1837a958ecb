"""A worker connected to the wrong Temporal repairs nothing, and many take-ups at once need an operator."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.reconciliation.repair import Reconciler
from activities.temporal_calls import TemporalCallError
from activities.temporal_guard import TemporalGuard, WrongTemporalError, identity_of
from ledger import TakeUps, TemporalBinding
from settlement.reconciliation import FindingKind, FindingStatus, TakeUpRequest
from settlement.start import SettlementInput, TakeUp, accepted_snapshot
from tests.reconciliation.conftest import Sides
from tests.support.dev_server import dev_server
from tests.support.orders import settlement
from tests.support.polling import until

WRONG, LIMIT, MISSING = FindingKind.WRONG_TEMPORAL, FindingKind.TAKE_UP_LIMIT, FindingKind.WORKFLOW_MISSING
OPEN, REPAIRED, CLEARED = FindingStatus.OPEN, FindingStatus.REPAIRED, FindingStatus.CLEARED


async def lost(sides: Sides, count: int) -> list[SettlementInput]:
    """Insert open settlements that have no workflow in Temporal into the ledger."""
    orders = [settlement(accepted_at=datetime.now(UTC) - timedelta(hours=1)) for _ in range(count)]
    for order in orders:
        await sides.ledger.accept(order, accepted_snapshot(order))
    return orders


async def count_with_workflow(sides: Sides, orders: list[SettlementInput]) -> int:
    """Return the number of settlements that have a workflow."""
    return sum([await sides.is_known(order) for order in orders])


async def test_two_servers_have_different_identities_and_each_a_constant_one() -> None:
    async with dev_server() as one, dev_server() as other:
        ours, theirs = await identity_of(one), await identity_of(other)
        assert ours.is_same_as(await identity_of(one))
        assert not ours.is_same_as(theirs)
        assert ours.namespace == theirs.namespace


async def test_the_first_check_binds_the_ledger_and_another_server_is_refused(sides: Sides) -> None:
    await TemporalGuard(sides.temporal, sides.engine, "worker").check()
    bound = await TemporalBinding(sides.engine).read()
    assert bound == await identity_of(sides.temporal)
    async with dev_server() as other:
        with pytest.raises(WrongTemporalError) as refused:
            await TemporalGuard(other, sides.engine, "worker").check()
        found = await identity_of(other)
    for part in (bound.namespace_id, bound.cluster_id, found.namespace_id, found.cluster_id, "api.bind_temporal"):
        assert part in str(refused.value)


async def test_a_server_replaced_while_a_process_runs_is_detected(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unavailable server ends nothing; another identity does."""
    monkeypatch.setattr("activities.temporal_guard.CHECK_EVERY_S", 0.01)
    guard, binding = TemporalGuard(sides.temporal, sides.engine, "worker"), TemporalBinding(sides.engine)
    watching = asyncio.create_task(guard.watch())

    async def is_bound() -> bool:
        return await binding.read() is not None

    await until(is_bound)
    assert not watching.done()
    ours = await identity_of(sides.temporal)
    gone = ours.model_copy(update={"cluster_id": "another"})
    await binding.move(ours, gone, "a test", datetime.now(UTC))
    with pytest.raises(WrongTemporalError, match="of cluster another"):
        async with asyncio.timeout(10):
            await watching


async def test_a_round_on_another_server_repairs_nothing_and_records_one_finding(sides: Sides) -> None:
    """All these settlements have a workflow in the Temporal that the ledger is bound to."""
    async with dev_server() as bound:
        await TemporalBinding(sides.engine).bind_first(await identity_of(bound), "worker", datetime.now(UTC))
    orders = await lost(sides, 3)
    for _ in range(2):
        ended = await sides.round()
        assert (ended.found, ended.repaired, ended.complete) == (0, 0, False)
    assert await sides.found() == [(WRONG, OPEN)]
    (finding,) = await sides.findings()
    assert finding.request_unique_no is None
    assert "belongs to" in finding.detail
    assert await count_with_workflow(sides, orders) == 0


async def test_a_round_on_the_right_server_clears_the_finding(sides: Sides) -> None:
    before = await identity_of(sides.temporal)
    gone = before.model_copy(update={"namespace_id": "00000000-0000-0000-0000-000000000000"})
    binding = TemporalBinding(sides.engine)
    await binding.bind_first(gone, "worker", datetime.now(UTC))
    await sides.round()
    await binding.move(gone, before, "ops", datetime.now(UTC))
    assert (await sides.round()).complete
    assert await sides.found() == [(WRONG, CLEARED)]


async def test_one_round_takes_up_no_more_than_its_limit(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.limits.RECONCILE_TAKE_UPS_MAX", 3)
    orders = await lost(sides, 8)
    ended = await sides.round()
    assert (ended.found, ended.repaired) == (8, 3)
    assert sorted(await sides.found()) == sorted([*[(MISSING, REPAIRED)] * 3, (LIMIT, OPEN)])
    assert (await sides.round()).repaired == 0, "a second round must not go on where the first one stopped"
    await TakeUps(sides.engine).allow(TakeUpRequest(count=4, note="its disk was lost"), "ops-1", datetime.now(UTC))
    assert (await sides.round()).repaired == 4
    assert (await sides.round()).repaired == 0, "what was allowed is used up"
    assert sorted(await sides.found()) == sorted([*[(MISSING, REPAIRED)] * 7, (LIMIT, OPEN)])
    await TakeUps(sides.engine).allow(TakeUpRequest(count=9, note="its disk was lost"), "ops-1", datetime.now(UTC))
    assert (await sides.round()).repaired == 1
    assert (await sides.round()).found == 0
    assert sorted(await sides.found()) == sorted([*[(MISSING, REPAIRED)] * 8, (LIMIT, CLEARED)])
    assert len(orders) == 8


async def opposed(sides: Sides, order: SettlementInput) -> None:
    """Have opposite decisions of a settlement wait for an operator: it must not be taken up."""
    conflict, at = FindingKind.DECISION_CONFLICT, datetime.now(UTC)
    await sides.record.report(conflict, order.settlement_id, "they differ", round_started_at=at)


@pytest.mark.parametrize("allowed", [False, True], ids=["of the round", "of a person"])
async def test_a_take_up_that_cannot_be_done_uses_no_permit(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, *, allowed: bool
) -> None:
    """Else it would use one in each round, and none would be left for those that can be started."""
    monkeypatch.setattr("settlement.limits.RECONCILE_TAKE_UPS_MAX", 1)
    if allowed:
        await sides.record.report(LIMIT, None, "too many", round_started_at=datetime.now(UTC))
        await TakeUps(sides.engine).allow(TakeUpRequest(count=1, note="its disk was lost"), "ops-1", datetime.now(UTC))
    *impossible, startable = await lost(sides, 3)
    for order in impossible:
        await opposed(sides, order)
    assert (await sides.round()).repaired == 1
    assert (await sides.handle(startable).describe()).status is WorkflowExecutionStatus.RUNNING
    assert (LIMIT, OPEN) not in await sides.found()


@pytest.mark.parametrize(
    ("error", "is_left"),
    [
        (WorkflowAlreadyStartedError("settlement", "OrderSettlement"), True),
        (RPCError("no answer", RPCStatusCode.UNAVAILABLE, b""), False),
    ],
    ids=["certainly not started", "perhaps started"],
)
async def test_a_permit_comes_back_only_where_nothing_can_have_been_started(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, error: Exception, *, is_left: bool
) -> None:
    monkeypatch.setattr("settlement.limits.RECONCILE_TAKE_UPS_MAX", 1)

    async def start(_: Client, __: SettlementInput, ___: TakeUp) -> None:
        raise error

    (order,) = await lost(sides, 1)
    at = datetime.now(UTC)
    with suppress(TemporalCallError):
        await Reconciler(sides.temporal, sides.engine, start).examine(order.settlement_id, at)
    assert (await TakeUps(sides.engine).permit(at, 1) is not None) is is_left
