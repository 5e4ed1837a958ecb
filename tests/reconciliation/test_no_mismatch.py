"""What reconciliation sees and does not report: neither side has lost anything."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.reconciliation.diagnose import Execution
from activities.reconciliation.temporal_workflows import SettlementWorkflows
from settlement.ids import SettlementId
from settlement.snapshot import Snapshot
from settlement.start import accepted_snapshot
from tests.reconciliation.conftest import Sides
from tests.support.orders import settlement
from tests.support.sagas import end_of
from tests.support.scripted import APPLIED, ScriptedExternalSystem


async def test_an_end_on_both_sides_is_no_mismatch(sides: Sides) -> None:
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        await end_of(await sides.start(accepted))
        await sides.wait_until_listed("Completed")
        ended = await sides.round()
    assert (ended.ledger_checked, ended.temporal_checked, ended.found, ended.complete) == (0, 1, 0, True)


async def test_a_workflow_with_a_foreign_id_is_no_finding(sides: Sides) -> None:
    """A workflow of this type with an id that no number produces, for example from a manual test."""
    start = settlement(accepted_at=datetime.now(UTC) - timedelta(hours=1))
    for stranger in ("tried-out", "settlement:alpha:with/slash"):
        await sides.temporal.start_workflow(
            "OrderSettlement", start, id=stranger, task_queue="nobody", static_summary="tried out"
        )
    await sides.wait_until_listed()
    ended = await sides.round()
    assert (ended.found, ended.complete) == (0, True)


async def test_a_settlement_that_ends_while_it_is_examined_is_no_finding(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row was read before its last write, and Temporal was queried after it."""
    accepted = settlement()
    async with sides.working(ScriptedExternalSystem(adjust=APPLIED)):
        ended = await end_of(await sides.start(accepted))
    await sides.restore_older(accepted, accepted_snapshot(accepted))
    ask = SettlementWorkflows.snapshot

    async def ask_while_the_write_arrives(
        workflows: SettlementWorkflows, settlement_id: SettlementId, execution: Execution
    ) -> Snapshot | None:
        await sides.ledger.record(accepted, ended)
        return await ask(workflows, settlement_id, execution)

    monkeypatch.setattr(SettlementWorkflows, "snapshot", ask_while_the_write_arrives)
    await sides.round()
    assert await sides.found() == []
    assert await sides.recorded(accepted) == ended
