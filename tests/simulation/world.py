"""One small world: real workflows, activities and ledger on a time-skipping server, the simulator's books beyond.

Every settlement lives by its plan. Many live side by side; none knows of another.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from connector import DEADLINES, CallHeaders
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput, TakeUp, accepted_snapshot
from settlement.states import State
from tests.simulation.accidents import Accidents
from tests.simulation.auditor import Report, contradictions
from tests.simulation.broken import Broken, Violation
from tests.simulation.broker import Broker
from tests.simulation.call_outcomes import Crash, Fate
from tests.simulation.evidence import Evidence, Story
from tests.simulation.invariant import sum_violations, violations
from tests.simulation.life import Life, PlannedLedger
from tests.simulation.plan import Act, Moment, Plan, Where
from tests.support.orders import settlement
from tests.support.polling import until
from tests.support.stories import RESOLVE, RETRY
from workflows.order_settlement import OrderSettlement
from workflows.start import start_workflow

LIVES_AT_ONCE = 64
"""More would only make the attempts of all of them slow enough to look lost."""
STRIDE_S = 20
"""Time is skipped in strides: without a limit the server skips ten years as soon as everything waits for people."""
LIFE_LIMIT_S = 150
"""Real time within which every settlement must come to rest."""


class World:
    """Lets settlements live by their plans and collects the evidence. It directs every attempt and every act."""

    def __init__(self, environment: WorkflowEnvironment, ledger: PlannedLedger) -> None:
        self._environment = environment
        self._client: Client = environment.client
        self.broker = Broker()
        self.ledger = ledger
        self.lives: dict[str, Life] = {}
        self._accidents = Accidents(environment, ledger, self.lives)
        ledger.lives = self.lives
        ledger.during_write = self._during_write

    async def live(self, plans: Sequence[Plan], prefix: str, *, limit_s: float = LIFE_LIMIT_S) -> list[Life]:
        """Let a settlement live by each plan, side by side, until all are at rest.

        One that is not at rest within the limit (real time) is returned as it is: that is for the judge.
        """
        slots = asyncio.Semaphore(LIVES_AT_ONCE)
        names = [f"{prefix}-{n}" for n in range(len(plans))]
        tasks = asyncio.gather(*(self._live(plan, name, slots) for plan, name in zip(plans, names, strict=True)))
        try:
            async with asyncio.timeout(limit_s):
                while not tasks.done():
                    await self._environment.sleep(STRIDE_S)
                await tasks
        except TimeoutError:
            tasks.cancel()
            with suppress(asyncio.CancelledError):
                await tasks
        return [self.lives[name] for name in names]

    async def evidence(self, lives: Sequence[Life]) -> dict[str, Evidence]:
        """Return all that both sides say, by number."""
        listed = await self.ledger.listed()
        return {life.number: await self._evidence(life, listed) for life in lives}

    async def judge(self, lives: Sequence[Life]) -> list[Violation]:
        """Hold every settlement against the invariant, and against what it was told."""
        every = await self.evidence(lives)
        found = [violation for evidence in every.values() for violation in violations(evidence)]
        for life in lives:
            evidence = every[life.number]
            if not life.overtaken(evidence.story):
                told = contradictions(
                    life.told,
                    evidence.story,
                    life.plan,
                    stopped_early=life.stopped_early,
                    lost_runs=life.lost_runs,
                )
                found += [Violation(Broken.NOT_WHAT_IT_WAS_TOLD, life.number, each) for each in told]
        return found

    async def judge_sum(self) -> list[Violation]:
        """Hold all settlements of this world, together, against the external system's accounts."""
        every = await self.evidence(list(self.lives.values()))
        return sum_violations(every.values(), self.broker.handler.books.accounts(limit=100_000))

    def begin(self, number: str, told: Report) -> Fate:
        """Begin the next attempt at an external call."""
        life = self.lives[number]
        life.told.append(told)
        attempt, life.attempts = life.attempts, life.attempts + 1
        fate = life.plan.fate(attempt)
        self.broker.expect(number, attempt, fate)
        return fate

    async def during_call(self, number: str) -> None:
        """Do what the plan wants done during the call under way."""
        life = self.lives[number]
        await self._act(life, Moment(Where.CALL, life.attempts - 1))

    async def _begin(self, plan: Plan, number: str) -> Life:
        now = await self._environment.get_current_time()
        age_s = plan.policy.expire_after_s if plan.stale or plan.taken_up else 0
        accepted = settlement(
            policy=plan.policy,
            accepted_at=now - timedelta(seconds=age_s),
            requestUniqueNo=number,
            amount=plan.amount,
            operationType="ABNORMAL_OVERTRADING" if plan.amount.startswith("-") else "OPEN_POSITION",
            metadata='{"simulate":{"adjust":"reject"}}' if plan.refuses else None,
            trace=f"trace-{number}",
        )
        life = Life(plan, accepted)
        self.lives[number] = life
        line = self.broker.line(number)
        line.guarded, line.cancel_operation = plan.guarded, plan.cancel_operation
        await until(lambda: self._is_accepted(accepted), what="acceptance")
        return life

    async def _is_accepted(self, accepted: SettlementInput) -> bool:
        """Post an order as the platform does: told that the ledger is away, it posts again."""
        with suppress(SQLAlchemyError, OSError):
            await self.ledger.accept(accepted, accepted_snapshot(accepted))
            return True
        return False

    async def _live(self, plan: Plan, number: str, slots: asyncio.Semaphore) -> Life:
        async with slots:
            life = await self._begin(plan, number)
            taken_up = await self._lose_the_first_workflow(life) if plan.taken_up else None
            life.handle = await start_workflow(self._client, life.settlement, taken_up)
            await self._act(life, Moment(Where.START))
            asked = asyncio.create_task(self._ask(life))
            await self._until_rest(life)
            await asked
            self.broker.end(number)
            return life

    async def _until_rest(self, life: Life) -> None:
        """Wait until it has ended, or is ABORTED and nobody will act any more."""
        ended = asyncio.create_task(self._end(life))
        while True:
            aborted = asyncio.create_task(life.aborted.wait())
            await asyncio.wait({aborted, ended}, return_when=asyncio.FIRST_COMPLETED)
            aborted.cancel()
            if ended.done():
                life.ended = ended.result()
                return
            if life.aborts >= life.plan.operator_actions():
                break
            await self._at_abort(life)
        ended.cancel()
        await until(lambda: self._is_recorded(life), what="the ledger's newest snapshot")

    async def _end(self, life: Life) -> Snapshot:
        """Return what its workflow returns, the last one of all; of one that was lost at its end, what it knew."""
        while True:
            handle = life.handle
            assert handle is not None
            try:
                return await handle.result()
            except WorkflowFailureError:
                async with life.losing:
                    if life.handle is handle:
                        return await self._asked(handle)

    async def _is_recorded(self, life: Life) -> bool:
        recorded = await self.ledger.find(life.number)
        return recorded is not None and recorded.snapshot == await self._knows(life)

    async def _knows(self, life: Life) -> Snapshot:
        assert life.handle is not None
        return life.ended or await self._asked(life.handle)

    async def _asked(self, handle: WorkflowHandle[OrderSettlement, Snapshot]) -> Snapshot:
        """Ask a workflow what it knows; a question that a busy server lets fall is asked again."""

        async def answer() -> Snapshot | None:
            with suppress(RPCError):
                return await handle.query(OrderSettlement.snapshot)
            return None

        return await until(answer, limit_s=LIFE_LIMIT_S, what="what a workflow knows")

    async def _at_abort(self, life: Life) -> None:
        life.aborted.clear()
        moment = Moment(Where.ABORT, life.aborts)
        life.aborts += 1
        await self._act(life, moment)
        if (await self._knows(life)).state is State.ABORTED:
            life.aborted.set()  # the act was refused, or it led here again

    async def _lose_the_first_workflow(self, life: Life) -> TakeUp:
        """Send the adjust as a workflow did that is gone by now."""
        fate = self.begin(life.number, Report(None, 0))
        if fate.crash is not Crash.BEFORE_SEND:
            await self.broker.adjust(life.settlement.adjust, CallHeaders(life.settlement.trace), DEADLINES)
        return TakeUp(snapshot=accepted_snapshot(life.settlement), reason="its workflow was lost")

    async def _ask(self, life: Life) -> None:
        """Ask for the decision, until there is one or nobody left to ask."""
        while True:
            handle = life.handle
            assert handle is not None
            try:
                answer = await handle.execute_update(OrderSettlement.decision, id="decision")
            except (WorkflowUpdateFailedError, RPCError):
                async with life.losing:
                    if life.handle is handle:
                        return  # it ended before it was asked
            else:
                life.decisions += [answer.decision] if answer.decision is not None else []
                return

    async def _during_write(self, life: Life, attempt: int) -> None:
        await self._act(life, Moment(Where.WRITE, attempt))

    async def _act(self, life: Life, moment: Moment) -> None:
        for act in life.plan.acts_at(moment):
            life.acted.append(moment)
            await (self._accidents.lose(life) if act is Act.LOSE else self._carry_out(life, act))

    async def _carry_out(self, life: Life, act: Act) -> None:
        handle = life.handle
        assert handle is not None
        try:
            match act:
                case Act.STOP | Act.STOP_TWICE:
                    life.stopped_at.append(life.attempts)
                    for _ in range(2 if act is Act.STOP_TWICE else 1):
                        await handle.cancel()
                case Act.RETRY:
                    await handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
                case Act.RESOLVE:
                    await handle.execute_update(OrderSettlement.resolve, RESOLVE)
        except (WorkflowUpdateFailedError, RPCError):
            # Refused in this state, or over already: that is an answer, too.
            return

    async def _evidence(self, life: Life, listed: dict[str, frozenset[State]]) -> Evidence:
        knows = await self._knows(life)
        recorded = await self.ledger.find(life.number)
        assert recorded is not None
        return Evidence(
            settlement=life.settlement,
            stories={"workflow": Story.of_snapshot(knows), "ledger": Story.of_snapshot(recorded.snapshot)},
            books=self.broker.books(life.number),
            received=self.broker.received(life.number),
            listed=listed.get(life.number, frozenset()),
            decisions=tuple(life.decisions),
        )
