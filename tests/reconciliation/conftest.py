"""Both sides, real: a Temporal server, a ledger, and rounds that hold them against each other."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import WorkflowRunner

from ledger import Findings
from settlement.ids import workflow_id
from settlement.reconciliation import Finding, FindingKind, FindingStatus, ReconciliationRound, RoundCursors
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput, accepted_snapshot
from settlement.states import State
from tests.support.dev_server import dev_server, new_namespace
from tests.support.ledgers import FlakyLedger, forget, migrated_file, open_copy
from tests.support.polling import until
from tests.support.sagas import CACHED, workers
from tests.support.scripted import ScriptedExternalSystem
from worker import reconciliation_worker
from workflows.order_settlement import OrderSettlement
from workflows.reconciliation.workflow import Reconciliation
from workflows.runtime import RECONCILIATION_TASK_QUEUE
from workflows.start import start_workflow


@dataclass
class Sides:
    """The ledger and Temporal, a worker for rounds, and what a test wants to do to them."""

    temporal: Client
    engine: AsyncEngine
    ledger: FlakyLedger
    unusable: dict[str, str] = field(default_factory=dict)
    """The external systems that cannot be called, and why."""

    @property
    def record(self) -> Findings:
        """The record of findings."""
        return Findings(self.engine)

    async def round(self) -> ReconciliationRound:
        """Run one round to its end."""
        carry = await self.temporal.execute_workflow(
            Reconciliation.run, id=f"round-{uuid.uuid4()}", task_queue=RECONCILIATION_TASK_QUEUE
        )
        assert carry == RoundCursors()
        ended = await self.record.last_round()
        assert ended is not None
        return ended

    async def findings(self) -> list[Finding]:
        """Return all findings, oldest first."""
        return list((await self.record.page(status=None, before=None, limit=100)).items)[::-1]

    async def found(self) -> list[tuple[FindingKind, FindingStatus]]:
        """Return kind and status of all findings, oldest first."""
        return [(each.kind, each.status) for each in await self.findings()]

    def working(
        self,
        external: ScriptedExternalSystem,
        *,
        cut_off: bool = False,
        cached: int = CACHED,
        runner: WorkflowRunner | None = None,
    ) -> AbstractAsyncContextManager[None]:
        """Run the workers of settlements; if cut off, the ledger never hears of what they do."""
        ledger = FlakyLedger(self.engine)
        ledger.down = cut_off
        return workers(self.temporal, external, ledger, cached=cached, runner=runner)

    async def start(self, accepted: SettlementInput) -> WorkflowHandle[OrderSettlement, State]:
        """Accept an order and start it, as a POST does."""
        await self.ledger.accept(accepted, accepted_snapshot(accepted))
        return await start_workflow(self.temporal, accepted)

    def handle(self, accepted: SettlementInput) -> WorkflowHandle[OrderSettlement, State]:
        """Return the handle of a settlement's newest workflow."""
        return self.temporal.get_workflow_handle_for(OrderSettlement.run, workflow_id(accepted.settlement_id))

    async def recorded(self, accepted: SettlementInput) -> Snapshot | None:
        """Return what the ledger has of a settlement."""
        found = await self.ledger.find(accepted.settlement_id)
        return found.snapshot if found else None

    async def records(self, accepted: SettlementInput, state: State) -> Snapshot:
        """Wait until the ledger has it in a state."""

        async def probe() -> Snapshot | None:
            snapshot = await self.recorded(accepted)
            return snapshot if snapshot and snapshot.state is state else None

        return await until(probe, what=f"{state} in the ledger")

    async def catches_up(self, accepted: SettlementInput) -> Snapshot:
        """Wait until the ledger has all that the workflow knows: no write of it is on its way any more."""

        async def probe() -> Snapshot | None:
            known = await self.handle(accepted).query(OrderSettlement.snapshot)
            return known if known == await self.recorded(accepted) else None

        return await until(probe, what="the ledger to catch up")

    async def forget(self, accepted: SettlementInput) -> None:
        """Lose a settlement's rows, as a restored backup does."""
        await forget(self.engine, accepted.settlement_id)

    async def restore_older(self, accepted: SettlementInput, to: Snapshot) -> Snapshot:
        """Have the ledger know what it knew before, and not just now; return that."""
        await self.forget(accepted)
        known = to.model_copy(update={"updated_at": accepted.accepted_at})
        await self.ledger.record(accepted, known)
        return known

    async def is_known(self, accepted: SettlementInput) -> bool:
        """Tell whether Temporal lists a settlement; its list trails what it knows."""
        listed = self.temporal.list_workflows(f"WorkflowId = '{workflow_id(accepted.settlement_id)}'")
        return bool([each async for each in listed])

    async def wait_until_listed(self, status: str = "Running") -> None:
        """Wait until Temporal's list shows a settlement with this status; the list is updated with a delay."""
        query = f"WorkflowType = 'OrderSettlement' AND ExecutionStatus = '{status}'"

        async def probe() -> bool:
            return bool([each async for each in self.temporal.list_workflows(query)])

        await until(probe, what="the list to show it")


@pytest_asyncio.fixture(scope="session")
async def server() -> AsyncIterator[Client]:
    """Run one server for all tests."""
    async with dev_server() as client:
        yield client


@pytest_asyncio.fixture
async def temporal(server: Client) -> Client:
    """Return a namespace of the test's own: a round looks at everything in one."""
    return await new_namespace(server)


@pytest_asyncio.fixture(scope="session")
async def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate a database file once; each test has a copy."""
    return await migrated_file(tmp_path_factory.mktemp("migrated"))


@pytest_asyncio.fixture
async def engine(migrated: Path, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    opened = open_copy(migrated, tmp_path)
    yield opened
    await opened.dispose()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every difference seriously at once; `tests/unit/activities` says how long the real limits wait."""
    for limit in ("UNCHANGED_S", "START_SLACK_S", "LEDGER_DELAY_MAX_S"):
        monkeypatch.setattr(f"settlement.limits.RECONCILE_{limit}", 0.0)


@pytest.fixture
def _short_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long for a worker that is not there."""
    monkeypatch.setattr("settlement.limits.RECONCILE_QUERY_S", 0.5)


@pytest_asyncio.fixture
async def sides(temporal: Client, engine: AsyncEngine, _impatient: None) -> AsyncIterator[Sides]:
    opened = Sides(temporal, engine, FlakyLedger(engine))

    async def why_unusable(name: str) -> str | None:
        return opened.unusable.get(name)

    async with reconciliation_worker(temporal, engine, why_unusable):
        yield opened
