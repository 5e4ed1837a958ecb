"""The saga of one order: adjust, and if that did not certainly work, cancel adjust until it is undone."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.adjust import Adjust
    from activities.cancel_adjust import CancelAdjust
    from activities.limits import ADJUST_START_TO_CLOSE, CANCEL_START_TO_CLOSE
    from contract.calls import CallRecord
    from contract.ids import CancelKind
    from contract.operator_rules import REASON_LENGTH_MAX, ResolveRequest, RetryRequest
    from contract.payloads import (
        ActKind,
        AdjustTask,
        CancelReport,
        CancelTask,
        OperatorRequest,
        SettlementInput,
        Snapshot,
    )
    from contract.states import CancelResult, Outcome, State

from workflows.cancel_plan import cancel_retry, cancel_task, needs_confirming
from workflows.journal import Journal
from workflows.lost_calls import calls_of_failed_cancel, lost_adjust
from workflows.saga_state import SagaState
from workflows.visibility import money

ONE_ATTEMPT = RetryPolicy(maximum_attempts=1)
"""A second adjust would be a second call, and its answer would hide the first one's."""

CALLS_MAX = 500
"""External calls of one settlement after which it can only be resolved: its history must stay far below
the size at which the server would terminate it."""


@workflow.defn
class OrderSettlement:
    """One settlement. Its id is derived from requestUniqueNo; it has no execution or run timeout.

    It ends in an end state of `contract.states`, and in no other way: asked to stop, it compensates.
    """

    @workflow.init
    def __init__(self, settlement: SettlementInput) -> None:
        self._settlement = settlement
        self._saga = SagaState(settlement, workflow.now())
        self._journal = Journal(settlement, self._saga)
        self._stop_requested = False

    @workflow.run
    async def run(self, settlement: SettlementInput) -> Snapshot:  # noqa: ARG002 - __init__ has it
        """Settle the order and return the last snapshot, once it is in the ledger.

        The story runs as a task of its own, so that Temporal's workflow cancellation reaches only this
        method: it may change what the story does next, but never tears it apart (design, step 8).
        """
        story = asyncio.create_task(self._settle())
        while not story.done():
            try:
                await asyncio.shield(story)
            except asyncio.CancelledError:
                self._on_workflow_cancellation()
        return story.result()

    async def _settle(self) -> Snapshot:
        self._journal.open()
        if self._is_stale() or workflow.cancellation_reason() is not None:
            self._saga.enter(State.EXPIRED, "expired, or stopped, before adjust was sent; nothing to cancel")
        else:
            await self._adjust_then_decide()
        await self._journal.close()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._saga.snapshot

    def _is_stale(self) -> bool:
        accepted_at = min(self._settlement.accepted_at, workflow.info().workflow_start_time)
        return workflow.now() - accepted_at >= timedelta(seconds=self._settlement.policy.expire_after_s)

    async def _adjust_then_decide(self) -> None:
        call = await self._adjust()
        verdict = call.verdict
        # Only fixed words: the reason is shown in the Temporal UI, and a broker's text may hold personal data.
        reason = f"adjust {verdict.outcome} ({verdict.rule})"
        if self._stop_requested:
            reason += "; the workflow was asked to stop"
        match verdict.outcome:
            case Outcome.NOT_SENT:
                self._saga.enter(State.EXPIRED, reason, calls=(call,))
            case Outcome.APPLIED if not self._stop_requested:
                self._saga.enter(State.SETTLED, reason, calls=(call,))
            case _:
                self._saga.enter(State.CANCELLING, reason, calls=(call,))
                await self._compensate(verdict.outcome, reason)

    async def _adjust(self) -> CallRecord:
        settlement = self._settlement
        expires_after = timedelta(seconds=settlement.policy.expire_after_s)
        scheduled_at = workflow.now()
        try:
            return await workflow.execute_activity_method(
                Adjust.adjust,
                AdjustTask(
                    adjust=settlement.adjust,
                    trace=settlement.trace,
                    company_id=settlement.company_id,
                    expires_at=settlement.accepted_at + expires_after,
                ),
                schedule_to_start_timeout=expires_after,
                start_to_close_timeout=ADJUST_START_TO_CLOSE,
                retry_policy=ONE_ATTEMPT,
                summary=f"adjust {money(settlement)}",
            )
        except ActivityError as error:
            # Nobody can tell what a lost worker did: unknown, and so compensated.
            return lost_adjust(settlement, error, scheduled_at)

    async def _compensate(self, adjust: Outcome, reason: str) -> None:
        result = await self._cancel_until_consistent(CancelKind.FIRST, reason)
        if result is not None and needs_confirming(self._settlement.policy, adjust, result):
            await workflow.sleep(self._settlement.policy.confirm_after_s, summary="quarantine before a second look")
            result = await self._cancel_until_consistent(CancelKind.CONFIRMING, f"confirming after {result}")
        if result is not None:
            self._saga.enter(State.CANCELLED, f"consistent again: {result}", cancel_result=result)

    async def _cancel_until_consistent(self, kind: CancelKind, reason: str) -> CancelResult | None:
        """Send one cancel, in as many rounds as operators ask for; None: an operator resolved it by hand."""
        task = cancel_task(self._settlement, kind, reason, _epoch_ms(workflow.now()))
        while True:
            try:
                report = await self._cancel_round(task)
            except ActivityError as error:
                self._saga.enter(
                    State.ABORTED, f"{kind} cancel adjust ran out of attempts", calls=calls_of_failed_cancel(error)
                )
                await workflow.wait_condition(lambda: self._saga.state is not State.ABORTED)
                if self._saga.state is State.RESOLVED:
                    return None
                task = task.model_copy(update={"round": self._saga.retries})
            else:
                self._saga.learn(report.calls, f"{kind} cancel adjust answered {report.result}")
                return report.result

    async def _cancel_round(self, task: CancelTask) -> CancelReport:
        confirming = ", confirming" if task.kind is CancelKind.CONFIRMING else ""
        return await workflow.execute_activity_method(
            CancelAdjust.cancel_adjust,
            task,
            start_to_close_timeout=CANCEL_START_TO_CLOSE,
            retry_policy=cancel_retry(self._settlement.policy),
            summary=f"cancel adjust {money(self._settlement)}{confirming}",
        )

    def _on_workflow_cancellation(self) -> None:
        """Turn Temporal's request to stop into the safest thing left to do (design, step 8)."""
        reason = (workflow.cancellation_reason() or "workflow cancellation")[:REASON_LENGTH_MAX]
        request = OperatorRequest(operator="temporal", reason=reason)
        if self._saga.state is State.ADJUSTING:
            self._stop_requested = True
            self._saga.act(ActKind.WORKFLOW_CANCELLATION, request)
        elif self._saga.state is State.ABORTED and self._may_call_again():
            self._retry(ActKind.WORKFLOW_CANCELLATION, request)

    @workflow.update
    async def decision(self) -> Snapshot:
        """Return the snapshot as soon as there is a decision; repeating it returns the same decision."""
        await workflow.wait_condition(lambda: self._saga.snapshot.decision is not None)
        return self._saga.snapshot

    @workflow.update(description="Have cancel adjust tried again, with the same number and a full round of attempts")
    def retry_cancel_adjust(self, request: OperatorRequest) -> Snapshot:
        """Take an ABORTED settlement back to CANCELLING. Refused in any other state."""
        self._retry(ActKind.RETRY_CANCEL_ADJUST, request)
        return self._saga.snapshot

    @workflow.update(description="Close an aborted settlement by hand, once the broker has put it right")
    def resolve(self, request: OperatorRequest) -> Snapshot:
        """Close an ABORTED settlement with reason and evidence. Refused in any other state."""
        self._saga.act(ActKind.RESOLVE, request)
        self._saga.enter(State.RESOLVED, "resolved by hand; the acts say by whom and on what evidence")
        return self._saga.snapshot

    @retry_cancel_adjust.validator
    def _may_retry(self, request: OperatorRequest) -> None:
        self._must_be_aborted("retry_cancel_adjust")
        if not self._may_call_again():
            message = f"{len(self._saga.snapshot.calls)} calls were made already; resolve it by hand"
            raise ApplicationError(message, type="WRONG_STATE")
        # Checked here and not in the type: a validator does not run on replay, so a rule may be tightened.
        RetryRequest.model_validate(request.model_dump(by_alias=False))

    @resolve.validator
    def _may_resolve(self, request: OperatorRequest) -> None:
        self._must_be_aborted("resolve")
        ResolveRequest.model_validate(request.model_dump(by_alias=False))

    @workflow.query(description="The whole of what this settlement knows")
    def snapshot(self) -> Snapshot:
        """Return the newest snapshot."""
        return self._saga.snapshot

    def _retry(self, kind: ActKind, request: OperatorRequest) -> None:
        self._saga.retries += 1
        self._saga.act(kind, request)
        self._saga.enter(State.CANCELLING, "cancel adjust retried; the acts say by whom and why")

    def _may_call_again(self) -> bool:
        return len(self._saga.snapshot.calls) < CALLS_MAX

    def _must_be_aborted(self, update: str) -> None:
        if self._saga.state is not State.ABORTED:
            message = f"{update} needs state ABORTED; this settlement is {self._saga.state}"
            raise ApplicationError(message, type="WRONG_STATE")


def _epoch_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
