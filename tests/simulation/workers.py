"""The workers of one world: those of the product, with scripted crashes and short timeouts."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

from temporalio.testing import WorkflowEnvironment

from activities.adjust import Adjust
from activities.cancel_adjust import CancelAdjust
from activities.record_settlement import RecordSettlement
from settlement import limits
from tests.simulation.simulated_settlement import FaultyLedger
from tests.simulation.worker_crashes import CrashingWorkers
from tests.simulation.workflow_loss import no_minimum_age
from tests.simulation.world import World
from tests.support.patient_worker import PatientWorker
from tests.support.sagas import NO_BULKHEAD, SIGNER, sandboxed_runner
from tests.support.scripted import OneSystem
from workflows import adjust as workflow_adjust
from workflows import cancel_rounds, order_settlement
from workflows.order_settlement import OrderSettlement
from workflows.runtime import CANCEL_TASK_QUEUE, LEDGER_TASK_QUEUE, SETTLEMENT_TASK_QUEUE, workflow_runner
from workflows.sender_check import SenderCheck

LOST_AFTER = timedelta(seconds=3)
"""Time until a lost worker is detected. It passes in real time: the server skips none while an attempt is open."""
WORKFLOWS_CACHED = 1_000


@contextmanager
def lost_soon(after: timedelta) -> Iterator[None]:
    """Shorten the time until a lost worker is detected, which would otherwise cost 6 s of real time each."""
    adjust, cancel = "ADJUST_START_TO_CLOSE", "CANCEL_START_TO_CLOSE"
    places = (
        (limits, adjust),
        (limits, cancel),
        (order_settlement, adjust),
        (workflow_adjust, adjust),
        (cancel_rounds, cancel),
    )
    before = [(module, name, getattr(module, name)) for module, name in places]
    for module, name, _ in before:
        setattr(module, name, after)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


@asynccontextmanager
async def world(
    environment: WorkflowEnvironment,
    ledger: FaultyLedger,
    *,
    sandboxed: bool = True,
    lost_after: timedelta = LOST_AFTER,
) -> AsyncIterator[World]:
    """Run the workers of one world. The sandbox makes it slower by a half, and finds what a replay could not repeat."""
    made = World(environment, ledger)
    record = RecordSettlement(ledger)
    with lost_soon(lost_after), no_minimum_age(), environment.auto_time_skipping_disabled():
        async with (
            PatientWorker(
                environment.client,
                task_queue=SETTLEMENT_TASK_QUEUE,
                workflows=[OrderSettlement],
                workflow_runner=sandboxed_runner() if sandboxed else workflow_runner(),
                activities=[
                    Adjust(OneSystem(made.broker), NO_BULKHEAD, made.circuits.admission).adjust,
                    record.record_at_once,
                ],
                interceptors=[CrashingWorkers(made), SenderCheck(SIGNER, ui_acts=False)],
                max_cached_workflows=WORKFLOWS_CACHED,
            ),
            PatientWorker(
                environment.client,
                task_queue=CANCEL_TASK_QUEUE,
                activities=[CancelAdjust(OneSystem(made.broker), made.circuits.admission).cancel_adjust],
                interceptors=[CrashingWorkers(made)],
            ),
            PatientWorker(
                environment.client,
                task_queue=LEDGER_TASK_QUEUE,
                activities=[record.record_settlement],
            ),
        ):
            yield made
