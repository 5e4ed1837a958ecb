"""The Temporal UI shows state, amount and next step of a settlement, and no personal data."""

from temporalio.testing import WorkflowEnvironment

from settlement.reply_record import ReplyRecord
from settlement.start import SettlementInput
from settlement.states import State
from tests.saga.conftest import StartSaga
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.orders import SPARSE_POLICY, settlement
from tests.support.sagas import settling
from tests.support.scripted import REJECTED, UNKNOWN, ScriptedExternalSystem
from tests.support.story_acts import ATTEMPTS, FAILED, RESOLVE, aborted
from workflows.order_settlement import OrderSettlement
from workflows.visibility import (
    COMPANY_ID,
    CURRENCY,
    OPERATION_TYPE,
    ORDER_ID,
    SETTLEMENT_STATE,
    details,
    search_attributes,
    static_summary,
)


async def test_search_attributes_have_the_state_and_summaries_the_amount(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED] * ATTEMPTS)
    async with saga(external) as started:
        await aborted(environment, started)
        attributes = (await started.handle.describe()).typed_search_attributes
        assert attributes[SETTLEMENT_STATE] == "ABORTED"
        assert attributes[ORDER_ID] == "4711"
        assert attributes[COMPANY_ID] == "7"
        assert attributes[CURRENCY] == "USD"
        assert attributes[OPERATION_TYPE] == "OPEN_POSITION"
        await started.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        await started.result()
        assert (await started.handle.describe()).typed_search_attributes[SETTLEMENT_STATE] == "RESOLVED"


async def test_details_of_an_abort_have_the_next_step_and_the_numbers_for_the_broker(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED] * ATTEMPTS)
    async with saga(external) as started:
        await aborted(environment, started)
        text = details(started.settlement, await started.snapshot())
        await started.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        await started.result()
    assert "retry_cancel_adjust" in text
    assert "resolve" in text
    assert set(external.cancel_numbers) <= {word.strip("`,") for word in text.split()}
    assert_no_personal_data(text, started.settlement)


def test_details_say_when_the_next_attempt_is_due_and_when_it_would_be_aborted() -> None:
    start = settlement(policy=SPARSE_POLICY)
    assert "Cancel adjust, first band: attempt 1 of 6 at " in details(start, lost.cancelling(start))
    reason = "FIRST cancel adjust used up the 3 attempts of its first band; sparse band: attempt 4 of 6 at 12:00"
    text = details(start, lost.quarantined(start).model_copy(update={"reason": reason}))
    assert reason in text


async def test_no_personal_data_is_shown(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    accepted_at = await environment.get_current_time()
    start = settlement(accepted_at=accepted_at, metadata='{"note":"Rosebud"}')
    told = ReplyRecord(biz_code="Kane", code="Kane", msg="Kane", trace="Kane", msg_params="Kane", data='"Kane"')
    adjust, cancel = (each.model_copy(update={"reply": told}) for each in (REJECTED, FAILED))
    external = ScriptedExternalSystem(adjust=adjust, cancels=[cancel] * ATTEMPTS)
    async with saga(external, start) as started:
        await aborted(environment, started)
        await started.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        snapshot = await started.result()
        history = await started.handle.fetch_history()
    shown = [
        static_summary(start),
        str(search_attributes(start, State.ADJUSTING)),
        details(start, snapshot),
        *(str(event.user_metadata) for event in history.events),
    ]
    for text in shown:
        assert_no_personal_data(text, start)
        assert "Rosebud" not in text
        assert "Kane" not in text
        assert RESOLVE.operator not in text
    assert State.RESOLVED in details(start, snapshot)


def assert_no_personal_data(text: str, start: SettlementInput) -> None:
    for personal in (start.adjust.userName, start.adjust.thirdServerCode, start.adjust.ip):
        assert personal not in text


async def test_a_continued_run_still_shows_how_to_act(environment: WorkflowEnvironment, ledger: FlakyLedger) -> None:
    """On continue-as-new, Temporal does not copy the details."""
    start = settlement(accepted_at=await environment.get_current_time())
    known = lost.aborted(start)
    await ledger.record(start, known)
    external = ScriptedExternalSystem(adjust=AssertionError("adjusted again"))
    async with settling(environment, ledger, external, start, lost.carried(known)) as saga:
        await saga.reaches(State.ABORTED)
        shown = str(await saga.handle.query("__temporal_workflow_metadata"))
        assert "An operator must act" in shown
        assert "Send an Update" in shown
        assert "reasonCode: BROKER_RECOVERED" in shown
        await saga.handle.execute_update(OrderSettlement.resolve, RESOLVE)
        await saga.result()
