"""One settlement on its way, and the ledger that knows its plan."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from temporalio.client import WorkflowHandle

from ledger import Ledger, SettlementFilter
from settlement.calls import Rule
from settlement.snapshot import ActionKind, Snapshot
from settlement.start import SettlementInput
from settlement.states import Decision, State
from settlement.tasks import RecordResult
from tests.simulation.auditor import Report
from tests.simulation.evidence import Story
from tests.simulation.plan import Moment, Plan
from workflows.lost_calls import LOST_WITH_ITS_WORKFLOW
from workflows.order_settlement import OrderSettlement


@dataclass
class Life:
    """One settlement on its way."""

    plan: Plan
    settlement: SettlementInput
    handle: WorkflowHandle[OrderSettlement, Snapshot] | None = None
    attempts: int = 0
    """External attempts begun so far."""
    writes: int = 0
    aborts: int = 0
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    acted: list[Moment] = field(default_factory=list)
    """Every moment that came at which the plan wanted something done."""
    told: list[Report] = field(default_factory=list)
    stopped_at: list[int] = field(default_factory=list)
    """How many attempts had begun at each workflow cancellation."""
    decisions: list[Decision] = field(default_factory=list)
    ended: Snapshot | None = None
    """What its workflow returned; None while it is open."""
    lost_runs: list[str] = field(default_factory=list)
    """Its workflows that were ended from outside, by run id."""
    losing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from the end of one workflow until the next one is at work."""

    @property
    def number(self) -> str:
        """Its requestUniqueNo."""
        return self.settlement.adjust.requestUniqueNo

    @property
    def stopped_early(self) -> bool:
        """Whether a workflow cancellation may have come before there was a decision."""
        return any(attempts <= 1 for attempts in self.stopped_at)

    def overtaken(self, story: Story) -> bool:
        """Tell whether a living worker was called lost, on a slow machine: then it was told less than it seems."""
        by_take_up = {act.note for act in story.actions if act.kind is ActionKind.TAKE_UP} | {
            LOST_WITH_ITS_WORKFLOW.detail
        }
        lost = [call.verdict for call in story.calls if call.verdict.rule is Rule.WORKER_LOST]
        return sum(each.detail not in by_take_up for each in lost) > sum(told.record is None for told in self.told)


class PlannedLedger(Ledger):
    """The real ledger, but for the writes that a plan lets fail; it tells when something is ABORTED."""

    lives: dict[str, Life]
    during_write: Callable[[Life, int], Awaitable[None]]

    async def record(self, settlement: SettlementInput, snapshot: Snapshot) -> bool:
        """Write all that is known, or fail as a database that is away does."""
        async with self._planned_write(settlement.adjust.requestUniqueNo, snapshot):
            return await super().record(settlement, snapshot)

    async def record_since(self, request_unique_no: str, since_version: int, snapshot: Snapshot) -> RecordResult:
        """Write what is new, or fail as a database that is away does."""
        async with self._planned_write(request_unique_no, snapshot):
            return await super().record_since(request_unique_no, since_version, snapshot)

    @asynccontextmanager
    async def _planned_write(self, number: str, snapshot: Snapshot) -> AsyncIterator[None]:
        life = self.lives[number]
        attempt, life.writes = life.writes, life.writes + 1
        await self.during_write(life, attempt)
        if attempt in life.plan.lost_writes:
            message = "the database is away"
            raise OSError(message)
        yield
        if attempt in life.plan.repeated_writes:
            message = "the database was away when it should have confirmed"
            raise OSError(message)
        if snapshot.state is State.ABORTED:
            life.aborted.set()

    async def listed(self) -> dict[str, frozenset[State]]:
        """Read every list that an operator could read."""
        found: defaultdict[str, set[State]] = defaultdict(set)
        for state in State:
            after = None
            while True:
                page = await self.page(SettlementFilter(state=state), after=after, limit=200)
                for each in page.settlements:
                    found[each.number].add(state)
                after = page.after
                if after is None:
                    break
        return {number: frozenset(states) for number, states in found.items()}
