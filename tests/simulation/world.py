"""One world: real workflows, activities and ledger on a time-skipping server, with the simulator's books.

Every settlement follows its plan. Many run concurrently and independently.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from connector import DEADLINES, CallHeaders
from settlement.snapshot import Snapshot
from settlement.start import DEFAULT_SYSTEM, SettlementInput, TakeUp, accepted_snapshot
from settlement.states import State
from tests.simulation.auditor import AttemptReport, contradictions
from tests.simulation.broker import Broker
from tests.simulation.call_scripts import CallScript, Crash
from tests.simulation.circuits import Circuits
from tests.simulation.evidence import Evidence, SettlementView
from tests.simulation.invariant import sum_violations, violations
from tests.simulation.operators import Operators
from tests.simulation.plan import FOUR_EYES_ABOVE, Action, Plan, Trigger, TriggerPoint
from tests.simulation.simulated_settlement import FaultyLedger, SimulatedSettlement
from tests.simulation.violation import Violation, ViolationKind
from tests.simulation.workflow_loss import WorkflowLosses
from tests.support.orders import settlement
from tests.support.polling import until
from tests.support.sagas import snapshot_of
from workflows.order_settlement import OrderSettlement
from workflows.start import start_workflow

SETTLEMENTS_AT_ONCE = 64
"""With more, attempts become so slow that Temporal counts their workers as lost."""
SKIP_STEP_S = 20
"""Time is skipped in steps. Without a limit the server skips ten years when all settlements wait for operators."""
REST_LIMIT_S = 150
"""Real time within which the work on every settlement must end."""


class World:
    """Simulates settlements by their plans and collects the evidence. It decides every attempt and action."""

    def __init__(self, environment: WorkflowEnvironment, ledger: FaultyLedger) -> None:
        self._environment = environment
        self._client: Client = environment.client
        self.broker = Broker()
        self.circuits = Circuits()
        self.ledger = ledger
        self.settlements: dict[str, SimulatedSettlement] = {}
        self._losses = WorkflowLosses(environment, ledger, self.settlements)
        ledger.settlements = self.settlements
        ledger.during_write = self._during_write

    async def simulate(
        self, plans: Sequence[Plan], prefix: str, *, limit_s: float = REST_LIMIT_S
    ) -> list[SimulatedSettlement]:
        """Simulate a settlement for each plan, concurrently, until all work has ended.

        A settlement that exceeds the limit (real time) is returned as it is; `check` then reports it.
        """
        slots = asyncio.Semaphore(SETTLEMENTS_AT_ONCE)
        names = [f"{prefix}-{n}" for n in range(len(plans))]
        tasks = asyncio.gather(*(self._simulate(plan, name, slots) for plan, name in zip(plans, names, strict=True)))
        try:
            async with asyncio.timeout(limit_s):
                while not tasks.done():
                    await self._environment.sleep(SKIP_STEP_S)
                await tasks
        except TimeoutError:
            tasks.cancel()
            with suppress(asyncio.CancelledError):
                await tasks
        return [self.settlements[name] for name in names]

    async def evidence(self, settlements: Sequence[SimulatedSettlement]) -> dict[str, Evidence]:
        """Return the evidence by number."""
        listed = await self.ledger.listed()
        return {simulated.number: await self._evidence(simulated, listed) for simulated in settlements}

    async def check(self, settlements: Sequence[SimulatedSettlement]) -> list[Violation]:
        """Check every settlement with the invariant and against its reports."""
        every = await self.evidence(settlements)
        found = [violation for evidence in every.values() for violation in violations(evidence)]
        for simulated in settlements:
            evidence = every[simulated.number]
            if not simulated.has_false_losses(evidence.view):
                contradicted = contradictions(
                    simulated.reports,
                    evidence.view,
                    simulated.plan,
                    stopped_early=simulated.stopped_early,
                    lost_runs=simulated.lost_runs,
                )
                found += [Violation(ViolationKind.CONTRADICTS_REPORTS, simulated.number, each) for each in contradicted]
        return found

    async def check_sum(self) -> list[Violation]:
        """Compare all settlements of this world with the external system's accounts."""
        every = await self.evidence(list(self.settlements.values()))
        return sum_violations(every.values(), self.broker.handler.books.accounts(limit=100_000))

    def begin(self, number: str, report: AttemptReport) -> CallScript:
        """Start the next attempt of an external call."""
        simulated = self.settlements[number]
        simulated.reports.append(report)
        attempt, simulated.attempts = simulated.attempts, simulated.attempts + 1
        script = simulated.plan.script(attempt)
        self.broker.expect(number, attempt, script)
        return script

    def withdraw(self, number: str, report: AttemptReport) -> None:
        """Forget an attempt that sent nothing, because its external system is not configured."""
        reports = self.settlements[number].reports
        # By identity: an earlier attempt whose worker crashed looks the same.
        reports[:] = [each for each in reports if each is not report]

    async def during_call(self, number: str) -> None:
        """Execute the planned actions during the current call."""
        simulated = self.settlements[number]
        await self._act(simulated, Trigger(TriggerPoint.CALL, simulated.attempts - 1))

    async def _begin(self, plan: Plan, number: str) -> SimulatedSettlement:
        now = await self._environment.get_current_time()
        age_s = plan.policy.expire_after_s if plan.stale or plan.taken_up else 0
        # With a breaker it has an external system of its own: what happens must depend on its plan only.
        name = f"s{len(self.settlements)}"
        accepted = settlement(
            system=await self.circuits.prepared(name, plan.breaker, now) if plan.breaker else DEFAULT_SYSTEM,
            policy=plan.policy,
            accepted_at=now - timedelta(seconds=age_s),
            requestUniqueNo=number,
            amount=plan.amount,
            operationType="ABNORMAL_OVERTRADING" if plan.amount.startswith("-") else "OPEN_POSITION",
            metadata='{"simulate":{"adjust":"reject"}}' if plan.refuses else None,
            trace=f"trace-{number}",
        ).model_copy(update={"four_eyes_above": FOUR_EYES_ABOVE})
        simulated = SimulatedSettlement(plan, accepted)
        self.settlements[number] = simulated
        line = self.broker.line(number)
        line.guarded, line.cancel_operation = plan.guarded, plan.cancel_operation
        await until(lambda: self._is_accepted(accepted), what="acceptance")
        return simulated

    async def _is_accepted(self, accepted: SettlementInput) -> bool:
        """Accept an order as a POST does; return False if the ledger is unreachable."""
        with suppress(SQLAlchemyError, OSError):
            await self.ledger.accept(accepted, accepted_snapshot(accepted))
            return True
        return False

    async def _simulate(self, plan: Plan, number: str, slots: asyncio.Semaphore) -> SimulatedSettlement:
        async with slots:
            simulated = await self._begin(plan, number)
            taken_up = await self._lose_the_first_workflow(simulated) if plan.taken_up else None
            simulated.handle = await start_workflow(self._client, simulated.settlement, taken_up)
            await self._act(simulated, Trigger(TriggerPoint.START))
            decision = asyncio.create_task(self._await_decision(simulated))
            await self._until_rest(simulated)
            await decision
            self.broker.end(number)
            return simulated

    async def _until_rest(self, simulated: SimulatedSettlement) -> None:
        """Wait until it has ended, or is ABORTED without further planned actions."""
        ended = asyncio.create_task(self._end(simulated))
        while True:
            aborted = asyncio.create_task(simulated.aborted.wait())
            await asyncio.wait({aborted, ended}, return_when=asyncio.FIRST_COMPLETED)
            aborted.cancel()
            if ended.done():
                simulated.ended = ended.result()
                return
            if simulated.aborts < simulated.plan.operator_actions():
                await self._at_abort(simulated)
            elif await self._rests(simulated):
                ended.cancel()
                return

    async def _rests(self, simulated: SimulatedSettlement) -> bool:
        """Wait until the ledger has the newest snapshot, and return whether it is ABORTED.

        A planned retry during the write of ABORTED leads out of it again before the write has ended.
        """
        simulated.aborted.clear()
        await until(lambda: self._is_recorded(simulated), what="the ledger's newest snapshot")
        return (await self._snapshot_of(simulated)).state is State.ABORTED

    async def _end(self, simulated: SimulatedSettlement) -> Snapshot:
        """Return the snapshot of its last workflow at its end, or of a workflow that was lost at its end."""
        while True:
            handle = simulated.handle
            assert handle is not None
            try:
                await handle.result()
                return await snapshot_of(handle)
            except WorkflowFailureError:
                async with simulated.replacing:
                    if simulated.handle is handle:
                        return await snapshot_of(handle)

    async def _is_recorded(self, simulated: SimulatedSettlement) -> bool:
        recorded = await self.ledger.find(simulated.settlement.settlement_id)
        return recorded is not None and recorded.snapshot == await self._snapshot_of(simulated)

    async def _snapshot_of(self, simulated: SimulatedSettlement) -> Snapshot:
        assert simulated.handle is not None
        return simulated.ended or await snapshot_of(simulated.handle)

    async def _at_abort(self, simulated: SimulatedSettlement) -> None:
        simulated.aborted.clear()
        trigger = Trigger(TriggerPoint.ABORT, simulated.aborts)
        simulated.aborts += 1
        await self._act(simulated, trigger)
        if (await self._snapshot_of(simulated)).state is State.ABORTED:
            simulated.aborted.set()  # the action was refused, or it led here again

    async def _lose_the_first_workflow(self, simulated: SimulatedSettlement) -> TakeUp:
        """Send the adjust as a workflow that was lost afterwards."""
        script = self.begin(simulated.number, AttemptReport(None, 0))
        if script.crash is not Crash.BEFORE_SEND:
            await self.broker.adjust(simulated.settlement.adjust, CallHeaders(simulated.settlement.trace), DEADLINES)
        return TakeUp(snapshot=accepted_snapshot(simulated.settlement), reason="its workflow was lost")

    async def _await_decision(self, simulated: SimulatedSettlement) -> None:
        """Wait for the decision, until there is one or no workflow is left."""
        while True:
            handle = simulated.handle
            assert handle is not None
            try:
                answer = await handle.execute_update(OrderSettlement.decision, id="decision")
            except (WorkflowUpdateFailedError, RPCError):
                async with simulated.replacing:
                    if simulated.handle is handle:
                        return  # it has ended before the Update
            else:
                simulated.decisions += [answer.decision] if answer.decision is not None else []
                return

    async def _during_write(self, simulated: SimulatedSettlement, attempt: int) -> None:
        await self._act(simulated, Trigger(TriggerPoint.WRITE, attempt))

    async def _act(self, simulated: SimulatedSettlement, trigger: Trigger) -> None:
        for action in simulated.plan.actions_at(trigger):
            simulated.triggered.append(trigger)
            await (self._losses.lose(simulated) if action is Action.LOSE else self._execute(simulated, action))

    async def _execute(self, simulated: SimulatedSettlement, action: Action) -> None:
        handle = simulated.handle
        assert handle is not None
        try:
            match action:
                case Action.STOP | Action.STOP_TWICE:
                    simulated.stopped_at.append(simulated.attempts)
                    for _ in range(2 if action is Action.STOP_TWICE else 1):
                        await handle.cancel()
                case Action.RETRY | Action.PROPOSE | Action.RESOLVE:
                    await Operators(handle, simulated.settlement, snapshot_of).act(action)
        except (WorkflowUpdateFailedError, RPCError):
            # Rejected in this state, or completed already; both are allowed.
            return

    async def _evidence(self, simulated: SimulatedSettlement, listed: dict[str, frozenset[State]]) -> Evidence:
        snapshot = await self._snapshot_of(simulated)
        recorded = await self.ledger.find(simulated.settlement.settlement_id)
        assert recorded is not None
        return Evidence(
            settlement=simulated.settlement,
            views={
                "workflow": SettlementView.of_snapshot(snapshot),
                "ledger": SettlementView.of_snapshot(recorded.snapshot),
            },
            books=self.broker.books(simulated.number),
            received=self.broker.received(simulated.number),
            listed=listed.get(simulated.number, frozenset()),
            decisions=tuple(simulated.decisions),
        )
