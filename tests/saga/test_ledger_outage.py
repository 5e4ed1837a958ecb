"""A ledger outage delays rows; it loses none, and neither a decision nor a compensation waits for it."""

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


async def test_the_compensation_ends_while_the_ledger_is_away_and_every_call_is_recorded_later(
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


async def test_the_ledger_follows_while_the_saga_is_under_way(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[NOT_APPLIED, REVERSED])
    async with saga(external) as started:

        async def quarantine_recorded() -> bool:
            recorded = await started.recorded()
            return recorded is not None and recorded.state is State.CANCELLING and len(recorded.calls) == 2

        await until(quarantine_recorded)
        await started.result()


async def test_the_decision_is_the_same_however_often_and_late_it_is_asked_for(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED])
    async with saga(external) as started:
        first = await started.handle.execute_update(OrderSettlement.decision, id="decision")
        await started.result()
        assert await started.handle.execute_update(OrderSettlement.decision, id="decision") == first
    assert first.decision is Decision.VOID


async def test_what_another_write_made_superfluous_is_sent_again_with_the_next_one(saga: StartSaga) -> None:
    """A ledger that is ahead (Temporal was set back) must not lose the calls that are made until it is overtaken."""
    gate = Gate(UNKNOWN)
    external = ScriptedExternalSystem(adjust=gate, cancels=[NOT_APPLIED, REVERSED])
    async with saga(external) as started:
        await gate.reached.wait()
        ahead = accepted_snapshot(started.settlement).model_copy(update={"version": 3})
        await started.ledger.record(started.settlement, ahead)
        gate.opened.set()
        snapshot = await started.result()
    assert len(snapshot.calls) == 3
