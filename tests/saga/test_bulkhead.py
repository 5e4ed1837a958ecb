"""An order above its company's limit of adjusts in flight expires unsent; other companies are not affected."""

from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment

from activities.bulkhead import Bulkhead
from connector import ExternalSystem
from settlement.calls import Rule
from settlement.snapshot import Snapshot
from settlement.states import Decision, Outcome, State
from tests.support.ledgers import FlakyLedger
from tests.support.orders import settlement
from tests.support.sagas import end_of, workers
from tests.support.scripted import APPLIED, REVERSED, UNKNOWN, Gate, ScriptedExternalSystem
from workflows.start import start_workflow

COMPANY = 7


async def run_order(
    environment: WorkflowEnvironment, ledger: FlakyLedger, external: ExternalSystem, bulkhead: Bulkhead
) -> Snapshot:
    """Settle one order of `COMPANY` to its end."""
    accepted = settlement(accepted_at=await environment.get_current_time())
    assert accepted.company_id == COMPANY
    async with workers(environment.client, external, ledger, bulkhead=bulkhead):
        return await end_of(await start_workflow(environment.client, accepted))


async def test_an_order_above_the_limit_expires_unsent(environment: WorkflowEnvironment, ledger: FlakyLedger) -> None:
    external, bulkhead = ScriptedExternalSystem(adjust=APPLIED), Bulkhead(slots=1)
    with bulkhead.slot(COMPANY):
        snapshot = await run_order(environment, ledger, external, bulkhead)
    assert (snapshot.state, snapshot.decision) == (State.EXPIRED, Decision.VOID)
    assert snapshot.reason == "adjust NOT_SENT (BULKHEAD_FULL)"
    [call] = snapshot.calls
    assert (call.verdict.outcome, call.verdict.rule) == (Outcome.NOT_SENT, Rule.BULKHEAD_FULL)
    assert (external.adjusts, external.cancels) == ([], [])


async def test_another_companys_full_bulkhead_has_no_effect(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    bulkhead = Bulkhead(slots=1)
    with bulkhead.slot(COMPANY + 1), bulkhead.slot(None):
        snapshot = await run_order(environment, ledger, ScriptedExternalSystem(adjust=APPLIED), bulkhead)
    assert snapshot.decision is Decision.PROCEED


async def test_a_slot_is_held_only_while_the_adjust_is_in_flight(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """A compensation holds no slot, so a company whose orders are being cancelled can continue."""
    adjust, cancel, bulkhead = Gate(UNKNOWN), Gate(REVERSED), Bulkhead(slots=1)
    external = ScriptedExternalSystem(adjust=adjust, cancels=[cancel])
    accepted = settlement(accepted_at=await environment.get_current_time())
    async with workers(environment.client, external, ledger, bulkhead=bulkhead):
        handle = await start_workflow(environment.client, accepted)
        await adjust.reached.wait()
        assert bulkhead.in_flight() == {COMPANY: 1}
        adjust.opened.set()
        await cancel.reached.wait()
        assert bulkhead.in_flight() == {}
        cancel.opened.set()
        assert await handle.result() is State.CANCELLED


async def test_an_adjust_that_fails_with_an_exception_releases_its_slot(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    bulkhead = Bulkhead(slots=1)
    external = ScriptedExternalSystem(adjust=RuntimeError("a fault of ours"), cancels=[REVERSED])
    assert (await run_order(environment, ledger, external, bulkhead)).state is State.CANCELLED
    assert bulkhead.in_flight() == {}


async def test_workflow_adjust_and_cancel_have_the_company_as_fairness_key(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED])
    accepted = settlement(accepted_at=await environment.get_current_time())
    async with workers(environment.client, external, ledger):
        handle = await start_workflow(environment.client, accepted)
        await handle.result()
    events = (await handle.fetch_history()).events
    assert events[0].workflow_execution_started_event_attributes.priority.fairness_key == str(COMPANY)
    scheduled = [
        event.activity_task_scheduled_event_attributes
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    keys = {each.activity_type.name: each.priority.fairness_key for each in scheduled}
    assert (keys["adjust"], keys["cancel_adjust"]) == (str(COMPANY), str(COMPANY))
