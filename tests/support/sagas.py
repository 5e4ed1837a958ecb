"""The saga on Temporal's time-skipping server: real workflow, real activities, real ledger, scripted answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.converter import DataConverter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.adjust import Adjust
from activities.batch_retry import EndBatch, RetrySettlements
from activities.bulkhead import Bulkhead
from activities.call_admission import CallAdmission
from activities.cancel_adjust import CancelAdjust
from activities.reconciliation.repair import Reconciler
from activities.record_settlement import RecordSettlement
from config.temporal import SEARCH_ATTRIBUTE_TYPES
from connector import ExternalSystem
from ledger import Batches
from settlement.ids import workflow_id
from settlement.snapshot import OperatorRequest, Snapshot
from settlement.start import Carried, SettlementInput, SettlementStart, TakeUp
from settlement.states import State
from settlement.tasks import UpdateResult
from settlement.update_signature import UpdateSigner
from tests.support.binaries import beside_python, started
from tests.support.ledgers import FlakyLedger
from tests.support.patient_worker import PatientWorker
from tests.support.polling import until
from tests.support.scripted import OneSystem, ScriptedExternalSystem
from workflows.batch_retry.workflow import BatchRetry
from workflows.order_settlement import OrderSettlement
from workflows.runtime import (
    BATCH_TASK_QUEUE,
    CANCEL_TASK_QUEUE,
    DATA_CONVERTER,
    LEDGER_TASK_QUEUE,
    SETTLEMENT_TASK_QUEUE,
)
from workflows.sender_check import SenderCheck
from workflows.start import start_workflow, take_up
from workflows.visibility import SEARCH_ATTRIBUTES

SIGNER = UpdateSigner(b"update key of the tests, 32 bytes or more")
"""The key of the API and of the workers in tests."""

NO_BULKHEAD = Bulkhead(slots=1_000_000)

CACHED = 1_000
"""Workflows that a worker keeps in memory, as in production."""

QUERY_LIMIT = timedelta(seconds=5)
"""How long one query may take before it is repeated."""
QUERIES_LIMIT_S = 150

IDENTITY = "tests"
"""Instead of the machine's name, which the SDK would write into every history."""


def sandboxed_runner() -> SandboxedWorkflowRunner:
    """Return a runner that finds calls that a replay could not repeat.

    It passes through the modules that workflows share with activities. Otherwise each of their classes would exist
    twice, inside and outside the sandbox.
    """
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(
            "activities", "connector", "contract", "ledger", "pydantic", "pydantic_core", "settlement"
        )
    )


@asynccontextmanager
async def time_skipping(converter: DataConverter = DATA_CONVERTER) -> AsyncIterator[WorkflowEnvironment]:
    """Run a time-skipping server with our search attributes, and a client with a data converter."""
    async with await started(
        lambda: WorkflowEnvironment.start_time_skipping(
            data_converter=converter,
            identity=IDENTITY,
            test_server_existing_path=beside_python("temporal-test-server"),
        )
    ) as environment:
        # This server can add search attributes but not list them, so the worker's own registration cannot do it.
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                search_attributes={
                    key.name: SEARCH_ATTRIBUTE_TYPES[int(key.indexed_value_type)] for key in SEARCH_ATTRIBUTES
                }
            )
        )
        yield environment


@asynccontextmanager
async def workers(  # noqa: PLR0913 - a test says only what it wants otherwise
    client: Client,
    external: ExternalSystem,
    ledger: FlakyLedger,
    batches: Batches | None = None,
    bulkhead: Bulkhead = NO_BULKHEAD,
    *,
    admission: CallAdmission | None = None,
    cached: int = CACHED,
    ui_acts: bool = True,
    runner: WorkflowRunner | None = None,
) -> AsyncIterator[None]:
    """Run all workers."""
    batches = batches or Batches(ledger.engine)
    admission = admission or CallAdmission()
    record = RecordSettlement(ledger)
    reconciler = Reconciler(client, batches.engine, take_up)
    async with (
        PatientWorker(
            client,
            task_queue=SETTLEMENT_TASK_QUEUE,
            workflows=[OrderSettlement, BatchRetry],
            workflow_runner=runner or sandboxed_runner(),
            activities=[Adjust(OneSystem(external), bulkhead, admission).adjust, record.record_at_once],
            max_cached_workflows=cached,
            interceptors=[SenderCheck(SIGNER, ui_acts=ui_acts)],
        ),
        PatientWorker(
            client,
            task_queue=CANCEL_TASK_QUEUE,
            activities=[CancelAdjust(OneSystem(external), admission).cancel_adjust],
        ),
        PatientWorker(client, task_queue=LEDGER_TASK_QUEUE, activities=[record.record_settlement]),
        PatientWorker(
            client,
            task_queue=BATCH_TASK_QUEUE,
            activities=[
                RetrySettlements(client, batches, reconciler, SIGNER).retry_settlements,
                EndBatch(batches).end_batch,
            ],
        ),
    ):
        yield


async def snapshot_of(handle: WorkflowHandle[OrderSettlement, State]) -> Snapshot:
    """Query the snapshot of a workflow.

    The time-skipping server loses a query now and then, so it is repeated if it is not answered.
    """

    async def answer() -> Snapshot | None:
        with suppress(RPCError):
            return await handle.query(OrderSettlement.snapshot, rpc_timeout=QUERY_LIMIT)
        return None

    return await until(answer, limit_s=QUERIES_LIMIT_S, what="the snapshot of a workflow")


async def end_of(handle: WorkflowHandle[OrderSettlement, State]) -> Snapshot:
    """Wait until a settlement has ended, and return its last snapshot, which a replay of its history returns."""
    state = await handle.result()
    snapshot = await snapshot_of(handle)
    assert snapshot.state is state
    return snapshot


@dataclass
class Saga:
    """One settlement under way, with both its ends in the test's hands."""

    handle: WorkflowHandle[OrderSettlement, State]
    settlement: SettlementInput
    external: ScriptedExternalSystem
    ledger: FlakyLedger

    async def result(self) -> Snapshot:
        """Let time pass until it has ended; what the ledger has must be what it says."""
        snapshot = await end_of(self.handle)
        assert await self.recorded() == snapshot
        return snapshot

    async def recorded(self) -> Snapshot | None:
        """Return what the ledger has of it."""
        found = await self.ledger.find(self.settlement.settlement_id)
        return found.snapshot if found else None

    async def snapshot(self) -> Snapshot:
        """Return what the workflow knows now."""
        return await snapshot_of(self.handle)

    async def act(self, update: str, request: OperatorRequest, *, earlier_actions: int | None = None) -> UpdateResult:
        """Send an operator's Update as the API does: signed for the actions so far, or for `earlier_actions`."""
        known = (await self.snapshot()).action_count if earlier_actions is None else earlier_actions
        signed = SIGNER.sign(self.handle.id, update, known, request)
        result: UpdateResult = await self.handle.execute_update(update, signed, result_type=UpdateResult)
        return result

    async def reaches(self, state: State) -> Snapshot:
        """Wait, without letting time skip, until it stands in a state."""

        async def probe() -> Snapshot | None:
            snapshot = await self.snapshot()
            return snapshot if snapshot.state is state else None

        return await until(probe, what=f"state {state}")


async def replay(handle: WorkflowHandle[Any, Any], converter: DataConverter = DATA_CONVERTER) -> None:
    """Replay the history of a workflow so far, as a worker does after a restart. Raises an error if that fails."""
    replayer = Replayer(workflows=[OrderSettlement], workflow_runner=sandboxed_runner(), data_converter=converter)
    await replayer.replay_workflow(await handle.fetch_history())


@asynccontextmanager
async def settling(
    environment: WorkflowEnvironment,
    ledger: FlakyLedger,
    external: ScriptedExternalSystem,
    start: SettlementInput,
    before: TakeUp | Carried | None = None,
    **options: Any,  # noqa: ANN401 - those of `workers`
) -> AsyncIterator[Saga]:
    """Start a settlement against a script, with its workers; for a workflow that was lost, or continues as new."""
    client = environment.client
    async with workers(client, external, ledger, **options):
        match before:
            case TakeUp():
                handle = await take_up(client, start, before)
            case Carried():
                handle = await client.start_workflow(
                    OrderSettlement.run,
                    SettlementStart(**dict(start), carried=before),
                    id=workflow_id(start.settlement_id),
                    task_queue=SETTLEMENT_TASK_QUEUE,
                )
            case _:
                handle = await start_workflow(client, start)
        yield Saga(handle, start, external, ledger)
        await replay(handle, client.data_converter)
