"""A ledger outage delays rows, loses none, and delays neither decisions nor compensations."""

from settlement.start import accepted_snapshot
from settlement.states import Decision, State
from tests.saga.conftest import StartSaga
from tests.support.polling import until
from tests.support.scripted import APPLIED, NOT_APPLIED, REVERSED, UNKNOWN, Gate, ScriptedExternalSystem
from workflows.order_settlement import OrderSettlement


async def test_the_decision_does_not_wait_for_the_ledger(saga: StartSaga) -> None:
    async with saga(ScriptedExternalSystem(adjust=APPLIED)) as started:
        started.ledger.down = True
        decided = await started.handle.execute_update(OrderSettlement.decision)
        assert (decided.state, decided.decision) == (State.SETTLED, Decision.PROCEED)
        assert await started.recorded() is None
        started.ledger.down = False
        assert await started.result() == decided


async def test_a_compensation_completes_during_a_ledger_outage_and_every_call_is_recorded_later(
    saga: StartSaga,
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED])
    async with saga(external) as started:
        started.ledger.down = True
        await started.reaches(State.CANCELLED)
        assert await started.recorded() is None
        started.ledger.down = False
        snapshot = await started.result()
    assert len(snapshot.calls) == 2


async def test_the_ledger_is_written_during_the_saga(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[NOT_APPLIED, REVERSED])
    async with saga(external) as started:

        async def quarantine_recorded() -> bool:
            recorded = await started.recorded()
            return recorded is not None and recorded.state is State.CANCELLING and len(recorded.calls) == 2

        await until(quarantine_recorded)
        await started.result()


async def test_the_decision_is_the_same_for_repeated_and_late_requests(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED])
    async with saga(external) as started:
        first = await started.handle.execute_update(OrderSettlement.decision, id="decision")
        await started.result()
        assert await started.handle.execute_update(OrderSettlement.decision, id="decision") == first
    assert first.decision is Decision.VOID


async def test_entries_of_a_skipped_write_are_sent_with_the_next_one(saga: StartSaga) -> None:
    """If the ledger has a higher version (Temporal was restored), it must still get all calls once it is overtaken."""
    gate = Gate(UNKNOWN)
    external = ScriptedExternalSystem(adjust=gate, cancels=[NOT_APPLIED, REVERSED])
    async with saga(external) as started:
        await gate.reached.wait()
        ahead = accepted_snapshot(started.settlement).model_copy(update={"version": 3})
        await started.ledger.record(started.settlement, ahead)
        gate.opened.set()
        snapshot = await started.result()
    assert len(snapshot.calls) == 3
