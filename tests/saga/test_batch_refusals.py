"""What a batch cannot retry has an outcome that says why, and holds up none of the others."""

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from settlement import limits
from settlement.batch_retry import BatchProgress, BatchState, ItemOutcome
from settlement.ids import workflow_id
from settlement.start import SettlementStart
from settlement.states import State
from tests.support.batches import Bench, bench
from tests.support.ledgers import FlakyLedger
from tests.support.orders import new_number, settlement
from tests.support.polling import until
from tests.support.stories import RETRY
from workflows.order_settlement import OrderSettlement

RETRIED, REFUSED, FAILED, PENDING = ItemOutcome.RETRIED, ItemOutcome.REFUSED, ItemOutcome.FAILED, ItemOutcome.PENDING


async def test_one_that_is_not_aborted_any_more_is_refused_with_its_state(
    at_work: Bench, environment: WorkflowEnvironment
) -> None:
    first, second = await at_work.abort(2, await environment.get_current_time())
    batch = await at_work.begin(2)
    at_work.external.away = False
    for number in (first, second):
        await environment.client.get_workflow_handle(workflow_id(number)).execute_update("retry_cancel_adjust", RETRY)
    await at_work.stands(first, State.CANCELLED)
    await at_work.stands(second, State.CANCELLED)
    assert await (await at_work.run(batch)).result() == BatchProgress(state=BatchState.DONE, refused=2)
    for item in await at_work.report(batch):
        assert (item.outcome, item.state) == (REFUSED, State.CANCELLED)
        assert State.CANCELLED in item.detail


async def test_one_whose_workflow_was_terminated_is_started_again_and_retried_like_the_others(
    at_work: Bench, environment: WorkflowEnvironment
) -> None:
    gone, there = await at_work.abort(2, await environment.get_current_time())
    await environment.client.get_workflow_handle(workflow_id(gone)).terminate()
    batch = await at_work.begin(2)
    assert await (await at_work.run(batch)).result() == BatchProgress(state=BatchState.DONE, retried=2)
    assert [(each.request_unique_no, each.outcome) for each in await at_work.report(batch)] == [
        (gone, RETRIED),
        (there, RETRIED),
    ]


async def test_one_that_does_not_answer_fails_after_a_bounded_time_and_holds_up_no_other(
    own_environment: WorkflowEnvironment, ledger: FlakyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BATCH_ITEM_LIMIT_S", 1.0)
    monkeypatch.setattr(limits, "BATCH_ITEM_PAUSE_S", 0.0)
    async with bench(own_environment, ledger) as at_work:
        numbers = await at_work.abort(3, await own_environment.get_current_time())
        await silence(own_environment.client, numbers[0])
        batch = await at_work.begin(3)
        progress = await (await at_work.run(batch)).result()
    assert progress == BatchProgress(state=BatchState.DONE, retried=2, failed=1)
    first, *others = await at_work.report(batch)
    assert (first.outcome, first.state) == (FAILED, State.ABORTED)
    assert "may still" in first.detail
    assert [each.outcome for each in others] == [RETRIED, RETRIED]


async def test_a_worker_that_is_told_to_end_leaves_what_does_not_answer_to_the_next(
    own_environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """The client makes a timeout of the worker's end. Taken for the settlement's silence, it would make it FAILED."""
    async with bench(own_environment, ledger) as at_work:
        numbers = await at_work.abort(1, await own_environment.get_current_time())
        await silence(own_environment.client, numbers[0])
        batch = await at_work.begin(1)
        handle = await at_work.run(batch)

        async def asked() -> bool:
            pending = (await handle.describe()).raw_description.pending_activities
            return bool(pending) and pending[0].state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED

        await until(asked)
    assert await at_work.outcomes(batch) == [PENDING]


async def silence(client: Client, number: str) -> None:
    """Put in place of a settlement's workflow one that nobody works on, as if its worker's code were broken."""
    await client.get_workflow_handle(workflow_id(number)).terminate()
    stuck = SettlementStart(**dict(settlement(requestUniqueNo=number)))
    await client.start_workflow(
        OrderSettlement.run, stuck, id=workflow_id(number), task_queue=new_number("nobody-polls")
    )
