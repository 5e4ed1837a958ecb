"""An opposite decision in the ledger stays and becomes a finding; a restored ledger gets the whole snapshot again."""

from temporalio.testing import WorkflowEnvironment

from ledger import Findings
from settlement.reconciliation import FindingKind, FindingStatus
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput, accepted_snapshot
from settlement.states import Decision, State
from tests.support.ledgers import FlakyLedger, forget
from tests.support.orders import settlement
from tests.support.polling import until
from tests.support.sagas import end_of, settling
from tests.support.scripted import APPLIED, NOT_APPLIED, REVERSED, UNKNOWN, Answer, ScriptedExternalSystem


async def record_conflicting(ledger: FlakyLedger, order: SettlementInput, state: State, decision: Decision) -> Snapshot:
    """Write the opposite decision of another Temporal to the ledger, and return that snapshot."""
    decided = accepted_snapshot(order).model_copy(
        update={"version": 1, "state": state, "decision": decision, "decided_at": order.accepted_at}
    )
    await ledger.record(order, decided)
    return decided


async def settle(
    environment: WorkflowEnvironment, ledger: FlakyLedger, answers: tuple[Answer, ...], ledgers: tuple[State, Decision]
) -> tuple[Snapshot, SettlementInput, str]:
    """Settle against a ledger with that decision; return the workflow's result, the order and the details in the UI."""
    order = settlement(accepted_at=await environment.get_current_time())
    known = await record_conflicting(ledger, order, *ledgers)
    external = ScriptedExternalSystem(adjust=answers[0], cancels=answers[1:])
    async with settling(environment, ledger, external, order) as saga:
        snapshot = await end_of(saga.handle)
        details = await saga.handle.query("__temporal_workflow_metadata")
        assert await saga.recorded() == known
    return snapshot, order, str(details)


async def test_void_against_proceed_ends_the_saga_with_one_open_finding(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    answers, ledgers = (UNKNOWN, REVERSED), (State.SETTLED, Decision.PROCEED)
    snapshot, order, details = await settle(environment, ledger, answers, ledgers)
    assert (snapshot.state, snapshot.decision) == (State.CANCELLED, Decision.VOID)
    await _has_one_finding(ledger, order, "PROCEED", "VOID")
    assert "DECISION_CONFLICT" in details


async def test_proceed_against_void_ends_the_saga_with_one_open_finding(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    snapshot, order, _ = await settle(environment, ledger, (APPLIED,), (State.CANCELLING, Decision.VOID))
    assert (snapshot.state, snapshot.decision) == (State.SETTLED, Decision.PROCEED)
    await _has_one_finding(ledger, order, "VOID", "PROCEED")


async def _has_one_finding(ledger: FlakyLedger, order: SettlementInput, ledgers: str, own: str) -> None:
    page = await Findings(ledger.engine).page(status=FindingStatus.OPEN, before=None, limit=100)
    number = order.adjust.requestUniqueNo
    (finding,) = (each for each in page.items if each.request_unique_no == number)
    assert finding.kind is FindingKind.DECISION_CONFLICT
    assert f"the ledger has the decision {ledgers}" in finding.detail
    assert f"but the workflow has {own}" in finding.detail


async def test_a_restored_ledger_gets_the_whole_snapshot_again(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """The workflow normally writes only changes. It detects a lost row and writes it completely."""
    order = settlement(accepted_at=await environment.get_current_time())
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[NOT_APPLIED, REVERSED])
    async with settling(environment, ledger, external, order) as saga:

        async def in_quarantine() -> bool:
            recorded = await saga.recorded()
            return recorded is not None and len(recorded.cancel_intents) == 2

        await until(in_quarantine)
        await forget(ledger.engine, order.settlement_id)
        snapshot = await saga.result()
    assert (snapshot.state, len(snapshot.calls)) == (State.CANCELLED, 3)
