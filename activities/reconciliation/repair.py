"""Look at one settlement on both sides, write down what does not fit, and put right what is safe."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from activities.reconciliation.diagnose import Diagnosis, Execution, Repair, diagnose
from activities.reconciliation.snapshot_merge import NotRepairedError, above, ledger_is_enough, newest
from activities.reconciliation.temporal_workflows import SettlementWorkflows
from activities.temporal_calls import calling_temporal
from activities.temporal_guard import TemporalGuard, WrongTemporalError
from ledger import Findings, Ledger, Permit, SettlementRecord, SettlementSummaries, TakeUps
from ledger.settlements import DecisionConflictError
from settlement import limits
from settlement.audit_window import counts, within_window
from settlement.reconciliation import FindingKind, FindingStatus, ScanTask
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput, TakeUp, accepted_input, known_at_start
from settlement.states import END_STATES, State

log = structlog.get_logger()

LIMIT_REACHED = (
    f"more than {limits.RECONCILE_TAKE_UPS_MAX} open settlements have lost their workflow; no further one is started "
    "anew. Find out why. If Temporal's data is lost for good, allow it: settlement allow-take-ups COUNT --note WHY"
)
"""What the finding TAKE_UP_LIMIT says."""
LONG_AFTER = datetime.max.replace(tzinfo=UTC)
"""A moment at which every patience of a diagnosis has run out."""

StartTakenUp = Callable[[Client, SettlementInput, TakeUp], Awaitable[object]]
"""How a settlement's workflow is begun anew; activities know no workflows."""


@dataclass(frozen=True)
class Examined:
    """What came of looking at one settlement: the kind of what did not fit, None if all does."""

    kind: FindingKind | None = None
    repaired: bool = False


@dataclass(frozen=True)
class _Case:
    """A settlement of which something does not fit."""

    number: str
    execution: Execution | None
    own: Snapshot | None
    """What its workflow says; None: it was not asked, or does not answer."""
    diagnosis: Diagnosis


@dataclass
class _TakeUp:
    """A take-up that can be done: what the ledger has, and what is known beside it."""

    accepted: SettlementRecord
    known: Snapshot
    may_be_started: bool = False
    """Whether Temporal was asked to start the workflow, and did not certainly refuse."""

    @property
    def starts(self) -> bool:
        """Whether a workflow must be started: one whose end is known only needs its end recorded."""
        return self.known.state not in END_STATES


class Reconciler:
    """Holds both sides. Errors of either, out of reach, are raised: what was not looked at is looked at again."""

    def __init__(self, temporal: Client, engine: AsyncEngine, start_taken_up: StartTakenUp) -> None:
        self.workflows = SettlementWorkflows(temporal)
        self.standings = SettlementSummaries(engine)
        self.findings = Findings(engine)
        self._guard = TemporalGuard(temporal, engine, "reconciliation")
        self._take_ups = TakeUps(engine)
        self._ledger = Ledger(engine)
        self._temporal = temporal
        self._start_taken_up = start_taken_up

    async def begin(self, task: ScanTask) -> None:
        """Refuse a part of a round, with a finding, where the ledger belongs to another Temporal than this worker's.

        Every part asks anew: the server behind an address may have been replaced while the worker ran. Raises
        ApplicationError WRONG_TEMPORAL, which is not retried; any other error means that it could not be asked.
        """
        try:
            await self._guard.check()
        except WrongTemporalError as wrong:
            at = task.round_started_at
            await self.findings.see(FindingKind.WRONG_TEMPORAL, None, str(wrong), round_started_at=at)
            log.error("a round is refused", error=str(wrong))  # noqa: TRY400 - the message says it all
            raise ApplicationError(str(wrong), type=FindingKind.WRONG_TEMPORAL, non_retryable=True) from wrong

    async def examine(self, number: str, round_started_at: datetime) -> Examined:
        """Hold one settlement's row against its workflow. Repeating it is safe: what was put right fits.

        Both sides are read anew. Where they do not fit, the row is read once more: one that has moved meanwhile
        is at work.
        """
        known = (await self.standings.of([number])).get(number)
        execution = await self.workflows.execution(number)
        diagnosis = diagnose(known, execution, datetime.now(UTC))
        if diagnosis is None:
            return Examined()
        asks = execution is not None and diagnosis.cure is not Repair.NONE
        own = await self.workflows.snapshot(number, execution) if execution is not None and asks else None
        if diagnosis.kind is FindingKind.LEDGER_BEHIND and own is not None and _is_on_its_way(own):
            return Examined()
        if (await self.standings.of([number])).get(number) != known:
            return Examined()
        return await self._handle_in_round(_Case(number, execution, own, diagnosis), round_started_at)

    async def restart_aborted(self, number: str) -> Examined:
        """Start the workflow of an ABORTED settlement again if it was ended from outside; repeating it joins that one.

        For an operator who acts on it, and who need not wait for the next round: nothing else is at work on an aborted
        settlement, so that neither its age nor the moment matters. All else is as in `examine`, its finding too.
        """
        known = (await self.standings.of([number])).get(number)
        execution = await self.workflows.execution(number)
        if known is None or known.state is not State.ABORTED or (execution is not None and execution.is_open):
            return Examined()
        diagnosis = diagnose(known, execution, LONG_AFTER)
        if diagnosis is None or diagnosis.cure is not Repair.TAKE_UP:
            return Examined()
        own = await self.workflows.snapshot(number, execution) if execution is not None else None
        return await self._handle(_Case(number, execution, own, diagnosis), datetime.now(UTC))

    async def _handle_in_round(self, case: _Case, round_started_at: datetime) -> Examined:
        """Put a case right as far as a round may: a workflow that must be started needs a permit.

        A permit is used only for a workflow that was started, or may have been, because Temporal's answer is missing.
        """
        take_up = await self._take_up_that_starts(case)
        if take_up is None:
            return await self._handle(case, round_started_at)
        permit = await self._permit(round_started_at)
        if permit is None:
            return Examined(case.diagnosis.kind)
        try:
            return await self._handle(case, round_started_at, take_up)
        finally:
            if not take_up.may_be_started:
                await self._take_ups.give_back(permit)

    async def _handle(self, case: _Case, round_started_at: datetime, take_up: _TakeUp | None = None) -> Examined:
        kind, detail = case.diagnosis.kind, case.diagnosis.detail
        # Written down first: if this worker is lost in the middle, the next round finds it open, and looks again.
        finding = await self.findings.see(kind, case.number, detail, round_started_at=round_started_at)
        if finding is None:
            return Examined()
        repair, reason = await self._try(case, take_up)
        if repair is None:
            await self.findings.explain(finding, f"{detail}; {reason}" if reason else detail)
            log.error("a person must look", settlement=case.number, finding=kind, detail=detail, reason=reason)
            return Examined(kind)
        await self.findings.close(finding, FindingStatus.REPAIRED, repair, datetime.now(UTC))
        log.warning("put right", settlement=case.number, finding=kind, detail=detail, repair=repair)
        return Examined(kind, repaired=True)

    async def _permit(self, round_started_at: datetime) -> Permit | None:
        """Return the permit to start one more lost workflow; None: one finding says so for all that are refused."""
        permit = await self._take_ups.permit(round_started_at, limits.RECONCILE_TAKE_UPS_MAX)
        if permit is None:
            kind = FindingKind.TAKE_UP_LIMIT
            await self.findings.see(kind, None, LIMIT_REACHED, round_started_at=round_started_at)
            log.error("a person must look", finding=kind, detail=LIMIT_REACHED)
        return permit

    async def _try(self, case: _Case, take_up: _TakeUp | None) -> tuple[str | None, str]:
        """Put it right; return how, or None and why that would not certainly be right."""
        try:
            match case.diagnosis.cure:
                case Repair.TAKE_UP:
                    return await self._take_up(case, take_up or await self._plan(case)), ""
                case Repair.RECORD:
                    return await self._record(case), ""
                case Repair.WRITE_ROW:
                    return await self._write_row(case), ""
                case Repair.NONE:
                    return None, ""
        except (NotRepairedError, DecisionConflictError) as error:
            return None, str(error)

    async def _take_up_that_starts(self, case: _Case) -> _TakeUp | None:
        """Return the take-up of a case if it can be done and starts a workflow."""
        if case.diagnosis.cure is not Repair.TAKE_UP:
            return None
        try:
            take_up = await self._plan(case)
        except NotRepairedError:
            return None
        return take_up if take_up.starts else None

    async def _plan(self, case: _Case) -> _TakeUp:
        """Read what a new workflow would go on from. Raises NotRepairedError if starting it may be wrong."""
        if await self.findings.is_open(FindingKind.DECISION_CONFLICT, case.number):
            message = "ledger and workflow had opposite decisions, and a cancel could take back what was settled"
            raise NotRepairedError(message)
        accepted = await self._accepted(case)
        if case.own is None and not ledger_is_enough(accepted.snapshot, case.execution):
            state = case.execution.state if case.execution else None
            message = f"it had come to {state} and does not answer what it knew; the next round asks again"
            raise NotRepairedError(message)
        return _TakeUp(accepted, newest(accepted.snapshot, case.own))

    async def _take_up(self, case: _Case, take_up: _TakeUp) -> str:
        accepted, known = take_up.accepted, take_up.known
        if not take_up.starts:
            await self._ledger.record(accepted.settlement, above(accepted.snapshot, known))
            return f"its end, {known.state}, was written into the ledger"
        lost_at = case.execution.closed_at if case.execution else None
        known = within_window(known, recorded=counts(accepted.snapshot))
        taken_up = TakeUp(snapshot=known, reason=case.diagnosis.detail, lost_at=lost_at)
        take_up.may_be_started = True
        try:
            async with calling_temporal(limits.RECONCILE_RPC_S):
                await self._start_taken_up(self._temporal, accepted.settlement, taken_up)
        except WorkflowAlreadyStartedError as error:
            take_up.may_be_started = False
            message = "its workflow came to its end meanwhile; the next round looks again"
            raise NotRepairedError(message) from error
        return f"taken up again where it stood, {known.state}"

    async def _record(self, case: _Case) -> str:
        if case.own is None:
            message = "its workflow does not say what it knows; the next round asks again"
            raise NotRepairedError(message)
        accepted = await self._accepted(case)
        # Of two decisions none is written.
        newest(accepted.snapshot, case.own)
        await self._ledger.record(accepted.settlement, above(accepted.snapshot, case.own))
        return f"what its workflow knows, {case.own.state}, was written into the ledger"

    async def _write_row(self, case: _Case) -> str:
        start = await self.workflows.start_of(case.number, case.execution) if case.execution is not None else None
        if start is None or start.adjust.requestUniqueNo != case.number:
            message = "its workflow was not started with an order of this number"
            raise NotRepairedError(message)
        settlement = accepted_input(start)
        snapshot = case.own or known_at_start(start)
        await self._ledger.record(settlement, snapshot)
        what = "what it knows" if case.own else "nothing else: it does not answer; its own next write brings the rest"
        return f"the row was written anew from what its workflow was started with and {what}"

    async def _accepted(self, case: _Case) -> SettlementRecord:
        accepted = await self._ledger.find(case.number)
        if accepted is None or accepted.snapshot.state in END_STATES:
            message = "the ledger has another record of it by now; the next round looks again"
            raise NotRepairedError(message)
        return accepted


def _is_on_its_way(own: Snapshot) -> bool:
    """Tell whether a change is so new that its own write may still arrive."""
    return datetime.now(UTC) - own.updated_at < timedelta(seconds=limits.RECONCILE_BEHIND_S)
