"""Settlements whose workflow was lost: a new workflow takes each of them up."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from contract.cancel_adjust import CancelAdjustBody
from settlement.calls import CallRecord
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.orders import settlement
from tests.support.sagas import Saga, settling
from tests.support.scripted import ScriptedExternalSystem
from workflows.lost_calls import LOST_WITH_ITS_WORKFLOW

Known = Callable[[SettlementInput], Snapshot]
TakeItUp = Callable[[SettlementInput, Snapshot, ScriptedExternalSystem], AbstractAsyncContextManager[Saga]]

KNOWN: dict[str, Known] = {
    "adjusting": lost.adjusting,
    "cancelling": lost.cancelling,
    "quarantined": lost.quarantined,
    "aborted": lost.aborted,
    "aborted confirming": lost.aborted_confirming,
}


@pytest.fixture
def taking_up(environment: WorkflowEnvironment, ledger: FlakyLedger) -> TakeItUp:
    """Return a function that starts the take-up of a lost workflow with this snapshot, which the ledger has too."""

    @asynccontextmanager
    async def start(
        accepted: SettlementInput, known: Snapshot, external: ScriptedExternalSystem
    ) -> AsyncIterator[Saga]:
        await ledger.record(accepted, known)
        async with settling(environment, ledger, external, accepted, lost.taken_up(known)) as saga:
            yield saga

    return start


@pytest.fixture
async def accepted(environment: WorkflowEnvironment) -> SettlementInput:
    return settlement(accepted_at=await environment.get_current_time() - timedelta(minutes=5))


def script(*cancels: object) -> ScriptedExternalSystem:
    """Return an external system that fails the test if it receives an adjust."""
    return ScriptedExternalSystem(adjust=AssertionError("adjusted again"), cancels=cancels)  # type: ignore[arg-type] # any answers


def unreported(snapshot: Snapshot) -> list[CallRecord]:
    """Return the cancels that a lost workflow may have sent without reporting them."""
    return [call for call in snapshot.calls if call.kind and call.verdict == LOST_WITH_ITS_WORKFLOW]


def bodies(external: ScriptedExternalSystem) -> list[CancelAdjustBody]:
    return [CancelAdjustBody.model_validate(body) for body in external.cancels]
