"""A simulated settlement, and a ledger whose writes fail as its plan says."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from temporalio.client import WorkflowHandle

from ledger import Ledger, SettlementFilter
from settlement.calls import Rule
from settlement.ids import SettlementId
from settlement.snapshot import ActionKind, Snapshot
from settlement.start import SettlementInput
from settlement.states import Decision, State
from settlement.tasks import RecordResult
from tests.simulation.auditor import AttemptReport
from tests.simulation.evidence import SettlementView
from tests.simulation.plan import Plan, Trigger
from workflows.lost_calls import LOST_WITH_ITS_WORKFLOW
from workflows.order_settlement import OrderSettlement


@dataclass
class SimulatedSettlement:
    """One settlement with its plan and what has happened so far."""

    plan: Plan
    settlement: SettlementInput
    handle: WorkflowHandle[OrderSettlement, State] | None = None
    attempts: int = 0
    """Number of attempts of external calls that have started."""
    writes: int = 0
    aborts: int = 0
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    triggered: list[Trigger] = field(default_factory=list)
    """Triggers of planned actions that have occurred."""
    reports: list[AttemptReport] = field(default_factory=list)
    stopped_at: list[int] = field(default_factory=list)
    """Number of started attempts at each workflow cancellation."""
    decisions: list[Decision] = field(default_factory=list)
    ended: Snapshot | None = None
    """The result of its workflow; None while it is open."""
    lost_runs: list[str] = field(default_factory=list)
    """Run ids of its terminated workflows."""
    replacing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from the termination of one workflow until the next one runs."""

    @property
    def number(self) -> str:
        """The requestUniqueNo."""
        return self.settlement.adjust.requestUniqueNo

    @property
    def stopped_early(self) -> bool:
        """Whether a workflow cancellation may have preceded the decision."""
        return any(attempts <= 1 for attempts in self.stopped_at)

    def has_false_losses(self, view: SettlementView) -> bool:
        """Return whether Temporal counted a live worker as lost, on a slow machine: then some reports were ignored."""
        by_take_up = {action.note for action in view.actions if action.kind is ActionKind.TAKE_UP} | {
            LOST_WITH_ITS_WORKFLOW.detail
        }
        lost = [call.verdict for call in view.calls if call.verdict.rule is Rule.WORKER_LOST]
        return sum(each.detail not in by_take_up for each in lost) > sum(
            report.record is None for report in self.reports
        )


class FaultyLedger(Ledger):
    """The real ledger, except that planned writes fail. It signals when a settlement is ABORTED."""

    settlements: dict[str, SimulatedSettlement]
    during_write: Callable[[SimulatedSettlement, int], Awaitable[None]]

    async def record(self, settlement: SettlementInput, snapshot: Snapshot) -> bool:
        """Write the snapshot, or fail as an unreachable database does."""
        async with self._planned_write(settlement.adjust.requestUniqueNo, snapshot):
            return await super().record(settlement, snapshot)

    async def record_since(self, settlement_id: SettlementId, since_version: int, snapshot: Snapshot) -> RecordResult:
        """Write the changes, or fail as an unreachable database does."""
        async with self._planned_write(settlement_id.number, snapshot):
            return await super().record_since(settlement_id, since_version, snapshot)

    @asynccontextmanager
    async def _planned_write(self, number: str, snapshot: Snapshot) -> AsyncIterator[None]:
        simulated = self.settlements[number]
        attempt, simulated.writes = simulated.writes, simulated.writes + 1
        await self.during_write(simulated, attempt)
        if attempt in simulated.plan.lost_writes:
            message = "the database is unreachable"
            raise OSError(message)
        yield
        if attempt in simulated.plan.repeated_writes:
            message = "the database wrote the row, but did not confirm it"
            raise OSError(message)
        if snapshot.state is State.ABORTED:
            simulated.aborted.set()

    async def listed(self) -> dict[str, frozenset[State]]:
        """Return the states in whose lists each settlement appears, by number."""
        found: defaultdict[str, set[State]] = defaultdict(set)
        for state in State:
            after = None
            while True:
                page = await self.page(SettlementFilter(state=state), after=after, limit=200)
                for each in page.settlements:
                    found[each.settlement_id.number].add(state)
                after = page.after
                if after is None:
                    break
        return {number: frozenset(states) for number, states in found.items()}
