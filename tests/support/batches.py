"""Batches on Temporal's time-skipping server: aborted settlements, a broker that recovers, a flaky record."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from connector import CallHeaders, Deadlines, ExternalSystem, ExternalSystemConfig
from contract.adjust import AdjustBody
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from ledger import Batches, SettlementRecord
from settlement.batch_retry import BatchItem, BatchProgress, BatchRetryRequest, BatchSelection, ItemOutcome
from settlement.calls import Rule, Verdict
from settlement.ids import CancelKind, cancel_unique_no
from settlement.operator_rules import RetryReason
from settlement.start import SettlementInput
from settlement.states import CancelResult, Outcome, State
from tests.support.ledgers import FlakyLedger
from tests.support.orders import ONE_ATTEMPT, id_of, new_number, settlement
from tests.support.polling import until
from tests.support.sagas import workers
from tests.support.scripted import REVERSED, UNKNOWN
from workflows.batch_retry.start import start_batch
from workflows.batch_retry.workflow import BatchRetry
from workflows.start import start_workflow

_companies = itertools.count(1_001)
ONE_IN_TEN_SECONDS = 0.1
FAILED = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.HTTP_STATUS, http_status=500)


class RecoveringExternalSystem(ExternalSystem):
    """Fails every call while it is away; then it reverses whatever it is asked to."""

    def __init__(self) -> None:
        super().__init__(ExternalSystemConfig("http://unused"))
        self.away = True
        self.cancels: list[CancelAdjustBody | CancelOperationBody] = []
        """What was asked of it since it came back."""

    async def adjust(self, body: AdjustBody, headers: CallHeaders, deadlines: Deadlines) -> Verdict:  # noqa: ARG002 - a double has its original's parameters
        """Answer nothing that can be trusted."""
        return UNKNOWN

    async def cancel_adjust(
        self,
        body: CancelAdjustBody | CancelOperationBody,
        headers: CallHeaders,  # noqa: ARG002 - a double has its original's parameters
        deadlines: Deadlines,  # noqa: ARG002 - a double has its original's parameters
    ) -> Verdict:
        """Answer a cancel."""
        if self.away:
            return FAILED
        self.cancels.append(body)
        return REVERSED


class FlakyBatches(Batches):
    """The real record, unless `down` is set."""

    down = False
    refused = 0
    """Outcomes that could not be written."""

    async def write_outcome(
        self, batch_id: str, position: int, outcome: ItemOutcome, detail: str, at: datetime
    ) -> None:
        """Write, or fail as a database that is away does."""
        if self.down:
            self.refused += 1
            message = "the database is away"
            raise OSError(message)
        await super().write_outcome(batch_id, position, outcome, detail, at)


@dataclass
class Bench:
    """Everything that a batch works with, in the test's hands."""

    client: Client
    ledger: FlakyLedger
    batches: FlakyBatches
    external: RecoveringExternalSystem = field(default_factory=RecoveringExternalSystem)
    company: int = field(default_factory=lambda: next(_companies))
    """Of its own: what another test has left open on the same server may abort here, and is in no batch of this one."""

    async def start(self, settlements: list[SettlementInput]) -> list[str]:
        """Start settlements; return their numbers."""
        for each in settlements:
            await start_workflow(self.client, each)
        return [each.adjust.requestUniqueNo for each in settlements]

    async def abort(self, count: int, accepted_at: datetime) -> list[str]:
        """Bring so many settlements to ABORTED; return their numbers, in order of acceptance."""
        prefix = new_number("B")
        numbers = [f"{prefix}-{index:03}" for index in range(count)]
        await self.start(
            [
                settlement(policy=ONE_ATTEMPT, accepted_at=accepted_at, company_id=self.company, requestUniqueNo=number)
                for number in numbers
            ]
        )
        for number in numbers:
            await self.wait_for_state(number, State.ABORTED)
        return numbers

    async def wait_for_state(self, number: str, state: State) -> SettlementRecord:
        """Wait until the ledger has a settlement in a state."""

        async def probe() -> SettlementRecord | None:
            found = await self.ledger.find(id_of(number))
            return found if found and found.snapshot.state is state else None

        return await until(probe, what=f"{number} in {state}")

    async def reversed_once(self, numbers: list[str]) -> None:
        """Check that every settlement ends CANCELLED, by the one repeated cancel that a batch caused."""
        for number in numbers:
            snapshot = (await self.wait_for_state(number, State.CANCELLED)).snapshot
            cancels = snapshot.calls[1:]
            assert snapshot.cancel_result is CancelResult.REVERSED
            assert {call.request_unique_no for call in cancels} == {cancel_unique_no(number, CancelKind.FIRST)}
            assert [(call.round, call.attempt) for call in cancels] == [(0, 1), (1, 1)]
            assert len(snapshot.actions) == 1

    async def begin(self, count: int, rate_per_s: float = 100) -> str:
        """Write a batch over all aborted settlements of the company; return its id."""
        order = BatchRetryRequest(
            selection=BatchSelection(company_id=self.company),
            reason_code=RetryReason.BROKER_RECOVERED,
            note="broker is back",
            expected_count=count,
            rate_per_s=rate_per_s,
        )
        return (await self.batches.create(order, "ops-1", datetime.now(UTC))).batch_id

    async def run(self, batch: str) -> WorkflowHandle[BatchRetry, BatchProgress]:
        """Start a batch's workflow; return its handle."""
        found = await self.batches.find(batch)
        assert found is not None
        return await start_batch(self.client, found)

    async def report(self, batch: str) -> list[BatchItem]:
        """Return all items of a batch."""
        return list((await self.batches.items(batch, 0, 200)).items)

    async def outcomes(self, batch: str) -> list[ItemOutcome]:
        """Return the outcomes of all items of a batch, in order."""
        return [item.outcome for item in await self.report(batch)]

    async def actions(self, number: str) -> list[tuple[str, str | None, str, str | None]]:
        """Return operator, reason, note and batch of every act on a settlement."""
        found = await self.ledger.find(id_of(number))
        assert found is not None
        return [(act.operator, act.reason_code, act.note, act.batch_id) for act in found.snapshot.actions]


async def has_pending(handle: WorkflowHandle[BatchRetry, BatchProgress], count: int) -> None:
    """Wait, without letting time skip, until a batch has so many pending."""

    async def probe() -> bool:
        return (await handle.query(BatchRetry.progress)).pending == count

    await until(probe, what=f"{count} pending")


@asynccontextmanager
async def running_bench(environment: WorkflowEnvironment, ledger: FlakyLedger) -> AsyncIterator[Bench]:
    """Run all workers against an external system that is away."""
    prepared = Bench(environment.client, ledger, FlakyBatches(ledger.engine))
    async with workers(environment.client, prepared.external, ledger, prepared.batches):
        yield prepared
