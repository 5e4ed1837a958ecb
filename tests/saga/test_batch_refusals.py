"""A settlement that a batch cannot retry gets an outcome with the reason, and does not delay the others."""

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from settlement import limits
from settlement.batch_retry import BatchProgress, BatchState, ItemOutcome
from settlement.ids import workflow_id
from settlement.start import SettlementStart
from settlement.states import State
from tests.support.batches import Bench, running_bench
from tests.support.ledgers import FlakyLedger
from tests.support.orders import id_of, new_number, settlement
from tests.support.polling import until
from tests.support.story_acts import RETRY
from workflows.order_settlement import OrderSettlement

RETRIED, REFUSED, FAILED, PENDING = ItemOutcome.RETRIED, ItemOutcome.REFUSED, ItemOutcome.FAILED, ItemOutcome.PENDING


async def test_a_settlement_that_is_no_longer_aborted_is_refused_with_its_state(
    bench: Bench, environment: WorkflowEnvironment
) -> None:
    first, second = await bench.abort(2, await environment.get_current_time())
    batch = await bench.begin(2)
    bench.external.away = False
    for number in (first, second):
        await environment.client.get_workflow_handle(workflow_id(id_of(number))).execute_update(
            "retry_cancel_adjust", RETRY
        )
    await bench.wait_for_state(first, State.CANCELLED)
    await bench.wait_for_state(second, State.CANCELLED)
    assert await (await bench.run(batch)).result() == BatchProgress(state=BatchState.DONE, refused=2)
    for item in await bench.report(batch):
        assert (item.outcome, item.state) == (REFUSED, State.CANCELLED)
        assert State.CANCELLED in item.detail


async def test_a_settlement_with_a_terminated_workflow_is_restarted_and_retried(
    bench: Bench, environment: WorkflowEnvironment
) -> None:
    gone, there = await bench.abort(2, await environment.get_current_time())
    await environment.client.get_workflow_handle(workflow_id(id_of(gone))).terminate()
    batch = await bench.begin(2)
    assert await (await bench.run(batch)).result() == BatchProgress(state=BatchState.DONE, retried=2)
    assert [(each.request_unique_no, each.outcome) for each in await bench.report(batch)] == [
        (gone, RETRIED),
        (there, RETRIED),
    ]


async def test_a_settlement_that_does_not_answer_fails_after_a_limited_time_and_delays_no_other(
    environment: WorkflowEnvironment, ledger: FlakyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BATCH_ITEM_LIMIT_S", 1.0)
    monkeypatch.setattr(limits, "BATCH_ITEM_PAUSE_S", 0.0)
    async with running_bench(environment, ledger) as bench:
        numbers = await bench.abort(3, await environment.get_current_time())
        await replace_by_unanswering_workflow(environment.client, numbers[0])
        batch = await bench.begin(3)
        progress = await (await bench.run(batch)).result()
    assert progress == BatchProgress(state=BatchState.DONE, retried=2, failed=1)
    first, *others = await bench.report(batch)
    assert (first.outcome, first.state) == (FAILED, State.ABORTED)
    assert "may still" in first.detail
    assert [each.outcome for each in others] == [RETRIED, RETRIED]


async def test_a_worker_that_shuts_down_leaves_an_unanswered_retry_to_the_next_worker(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """The client reports the shutdown as a timeout. If that counted as no answer, the outcome would be FAILED."""
    async with running_bench(environment, ledger) as bench:
        numbers = await bench.abort(1, await environment.get_current_time())
        await replace_by_unanswering_workflow(environment.client, numbers[0])
        batch = await bench.begin(1)
        handle = await bench.run(batch)

        async def asked() -> bool:
            pending = (await handle.describe()).raw_description.pending_activities
            return bool(pending) and pending[0].state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED

        await until(asked)
    assert await bench.outcomes(batch) == [PENDING]


async def replace_by_unanswering_workflow(client: Client, number: str) -> None:
    """Replace a settlement's workflow by one without a worker, as if the worker's code were broken."""
    await client.get_workflow_handle(workflow_id(id_of(number))).terminate()
    stuck = SettlementStart(**dict(settlement(requestUniqueNo=number)))
    await client.start_workflow(
        OrderSettlement.run, stuck, id=workflow_id(id_of(number)), task_queue=new_number("nobody-polls")
    )
