"""The texts of a batch in the Temporal UI, and the timeouts and retry policies of its activities."""

from temporalio.testing import WorkflowEnvironment

from settlement.batch_retry import BatchInput
from tests.support.batches import ONE_IN_TEN_SECONDS, Bench
from tests.support.limits import OF_A_BATCH, limits_in, timers_in
from workflows.batch_retry.visibility import batch_details
from workflows.visibility import COMPANY_ID


async def test_what_the_ui_shows_names_neither_operator_nor_note(
    bench: Bench, environment: WorkflowEnvironment
) -> None:
    await bench.abort(2, await environment.get_current_time())
    batch = await bench.begin(2)
    handle = await bench.run(batch)
    progress = await handle.result()
    described = await handle.describe()
    assert described.typed_search_attributes[COMPANY_ID] == str(bench.company)
    summary = await described.static_summary()
    assert summary == "retry 2 aborted settlements, 100 a second, BROKER_RECOVERED"
    why = {"operator": "ops-1", "reason_code": "OTHER", "note": "broker is back"}
    start = BatchInput(batch_id=batch, **why, rate_per_s=100, progress=progress)
    text = batch_details(start, progress)
    assert "DONE: 2 of 2" in text
    history = await handle.fetch_history()
    summaries = [str(event.user_metadata) for event in history.events if event.HasField("user_metadata")]
    assert any("retry the next 2 of 2" in each for each in summaries)
    assert any("write the end of the batch" in each for each in summaries)
    for shown in (summary, text, *summaries):
        assert "ops-1" not in shown
        assert "broker is back" not in shown


async def test_activities_of_a_batch_have_their_limits_and_chunks_their_size(
    bench: Bench, environment: WorkflowEnvironment
) -> None:
    await bench.abort(2, await environment.get_current_time())
    handle = await bench.run(await bench.begin(2, rate_per_s=ONE_IN_TEN_SECONDS))
    await handle.result()
    history = await handle.fetch_history()
    assert limits_in(history) == OF_A_BATCH
    (until_the_next_s,) = timers_in(history)
    assert 1 < until_the_next_s <= 10
