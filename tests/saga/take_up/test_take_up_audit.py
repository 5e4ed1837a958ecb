"""A take-up adds to the audit of the lost workflow and replaces none of it."""

from datetime import timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from settlement.ids import CancelKind, cancel_unique_no
from settlement.snapshot import ActionKind, Snapshot
from settlement.start import SettlementInput
from tests.saga.take_up.conftest import KNOWN, Known, TakeItUp, script, unreported
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.polling import until
from tests.support.sagas import settling
from tests.support.scripted import REVERSED, UNKNOWN, Gate
from tests.support.story_acts import ATTEMPTS, FAILED


async def test_the_audit_has_the_take_up_and_its_reason(taking_up: TakeItUp, accepted: SettlementInput) -> None:
    async with taking_up(accepted, lost.cancelling(accepted), script(REVERSED)) as saga:
        snapshot = await saga.result()
    (act,) = snapshot.actions
    assert (act.kind, act.operator, act.note) == (ActionKind.TAKE_UP, "reconciliation", lost.REASON)


async def test_each_take_up_begins_a_new_round(
    taking_up: TakeItUp, accepted: SettlementInput, environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """A round that was lost with its workflow keeps its number: no two calls in the audit have the same identity."""
    async with taking_up(accepted, lost.cancelling(accepted), script(Gate(UNKNOWN))) as first:
        known = await first.snapshot()
        await first.handle.terminate()
    external = script(FAILED, REVERSED)
    async with settling(environment, ledger, external, accepted, lost.taken_up(known)) as second:
        snapshot = await second.result()
    cancels = [(call.round, call.attempt) for call in snapshot.calls[1:]]
    assert {round_ for round_, _ in cancels} == {0, 1, 2}
    assert cancels[-2:] == [(2, 1), (2, 2)]
    assert len(set(cancels)) == len(cancels)
    assert [act.kind for act in snapshot.actions] == [ActionKind.TAKE_UP, ActionKind.TAKE_UP]


@pytest.mark.parametrize(("after_s", "begun"), [(0, 1), (0.5, 1), (1, 2), (2.5, 2), (3, ATTEMPTS), (3600, ATTEMPTS)])
async def test_every_cancel_that_the_lost_workflow_may_have_sent_is_in_the_audit(
    environment: WorkflowEnvironment, ledger: FlakyLedger, accepted: SettlementInput, after_s: float, begun: int
) -> None:
    """Their number is limited by the time between the start of the cancel and the end of the workflow."""
    known = lost.cancelling(accepted)
    taken_up = lost.taken_up(known, lost_at=known.updated_at + timedelta(seconds=after_s))
    async with settling(environment, ledger, script(REVERSED), accepted, taken_up) as saga:
        snapshot = await saga.result()
    calls = unreported(snapshot)
    assert [(call.kind, call.round, call.attempt) for call in calls] == [
        (CancelKind.FIRST, 0, attempt + 1) for attempt in range(begun)
    ]
    assert {(call.request_unique_no, call.sent_at) for call in calls} == {
        (cancel_unique_no(accepted.adjust.requestUniqueNo, CancelKind.FIRST), known.updated_at)
    }


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
async def test_versions_continue_above_the_ledgers(
    taking_up: TakeItUp, accepted: SettlementInput, known: Known
) -> None:
    """Otherwise the ledger would ignore the new snapshots and never record the end."""
    before = known(accepted)
    async with taking_up(accepted, before, script(FAILED)) as saga:

        async def recorded() -> Snapshot | None:
            snapshot = await saga.recorded()
            return snapshot if snapshot and snapshot.version > before.version else None

        after = await until(recorded, what="a write above the ledger's version")
        await saga.handle.terminate()
    assert after.actions[-1].kind is ActionKind.TAKE_UP
    assert after.calls[: len(before.calls)] == before.calls
