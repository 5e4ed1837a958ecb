"""Planted bugs, one for each kind that must not occur. The simulation must detect each by name.

Each one patches the real workflow or activities; everything else is the product.
"""

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from activities import adjust as adjust_activity
from activities import cancel_adjust as cancel_activity
from connector import Deadlines, classify
from connector.exchange import Reply
from contract.cancel_adjust import CancelAdjustBody
from contract.operations import Operation
from settlement import tasks
from settlement.calls import CallRecord, Rule, Verdict
from settlement.ids import CancelKind, cancel_unique_no
from settlement.snapshot import CancelIntent
from settlement.states import CancelResult, Decision, Outcome, State, decision_of
from settlement.tasks import AdjustTask, CancelTask
from tests.simulation.violation import ViolationKind
from workflows import adjust as workflow_adjust
from workflows import cancel_rounds, lost_calls, order_settlement, saga_state
from workflows.cancel_rounds import CancelRounds
from workflows.journal import Journal
from workflows.operator_updates import OperatorActs
from workflows.saga_state import SagaState

_lost_adjust = lost_calls.lost_adjust
_other_times_ms = itertools.count(1_760_000_000_000)
_cancel_result = classify.cancel_result
_classify_reply: Callable[[Reply, str | None], Verdict] = vars(classify)["_classify_reply"]
_send_adjust = vars(adjust_activity.Adjust)["_send"]


@dataclass(frozen=True)
class Mutant:
    """One planted bug."""

    plant: Callable[[], AbstractContextManager[Any]]
    caught_by: frozenset[ViolationKind]
    """The violations that must be detected; there may be more."""
    rests: bool = True
    """Whether the work on its settlements ends at all."""


async def _swallow(self: CancelRounds, intent: CancelIntent) -> CancelResult | None:
    """Treat a compensation that ran out of attempts as one that found nothing to undo."""
    saga = self._saga
    try:
        report = await self._cancel_round(CancelTask(settlement=self._order, intent=intent, round=saga.round))
    except ActivityError as error:
        task = CancelTask(settlement=self._order, intent=intent, round=0)
        calls = lost_calls.calls_of_failed_cancel(error, task, 3, workflow.now())
        saga.record_calls(calls, "as if nothing had happened")
        return CancelResult.NOT_APPLIED
    saga.record_calls(report.calls, f"{intent.kind} cancel adjust answered {report.result}")
    return report.result


async def _give_up_silently(self: CancelRounds, intent: CancelIntent) -> CancelResult:
    """Leave a compensation that ran out of attempts without an abort and without an end."""
    try:
        report = await self._cancel_round(CancelTask(settlement=self._order, intent=intent, round=self._saga.round))
    except ActivityError:
        await workflow.wait_condition(lambda: False)
        raise
    self._saga.record_calls(report.calls, f"{intent.kind} cancel adjust answered {report.result}")
    return report.result


async def _send_again_under_another_number(self: adjust_activity.Adjust, task: AdjustTask) -> Verdict:
    """After an UNKNOWN adjust send another one under a new number, and ignore its outcome."""
    verdict: Verdict = await _send_adjust(self, task)
    if verdict.outcome is Outcome.UNKNOWN:
        renamed = task.adjust.model_copy(update={"requestUniqueNo": f"{task.adjust.requestUniqueNo}-again"})
        await _send_adjust(self, task.model_copy(update={"adjust": renamed}))
    return verdict


async def _send_although_refused(self: adjust_activity.Adjust, task: AdjustTask) -> Verdict:
    """Send an order although the circuit breaker is open, and report that it was not sent."""
    verdict: Verdict = await _send_adjust(self, task)
    if verdict.rule is Rule.BREAKER_OPEN:
        await _send_adjust(self, task.model_copy(update={"system": "without-a-breaker"}))
    return verdict


def _another_body(task: CancelTask, _: Operation) -> CancelAdjustBody:
    """Give each attempt a new time, so that a repeated request has another body."""
    return CancelAdjustBody.undoing(
        task.settlement.adjust,
        number=task.request_unique_no,
        request_time_ms=next(_other_times_ms),
        remark=task.intent.remark,
    )


def _number_of_first_cancel(number: str, kind: CancelKind) -> str:  # noqa: ARG001 - the mutant has its original's parameters
    return cancel_unique_no(number, CancelKind.FIRST)


def _lost_with_outcome(outcome: Outcome, *about: Any) -> CallRecord:  # noqa: ANN401 - passed on as it is
    record = _lost_adjust(*about)
    return record.model_copy(update={"verdict": record.verdict.model_copy(update={"outcome": outcome})})


def _swapped_result(*about: Any) -> CancelResult | None:  # noqa: ANN401 - passed on as it is
    turned = {
        CancelResult.NOT_APPLIED: CancelResult.NEVER_RECEIVED,
        CancelResult.NEVER_RECEIVED: CancelResult.NOT_APPLIED,
    }
    result = _cancel_result(*about)
    return turned.get(result, result) if result else None


def _changed_decision(state: State) -> Decision | None:
    return Decision.PROCEED if state is State.RESOLVED else decision_of(state)


async def _close_at_once(_: Journal) -> None:
    return


def _no_calls(*_: object) -> tuple[CallRecord, ...]:
    return ()


def _only_reported(heard: tuple[CallRecord, ...], *_: object) -> tuple[CallRecord, ...]:
    return heard


def _any_trace(reply: Reply, _: str | None) -> Verdict:
    return _classify_reply(reply, None)


def _do_not_act(*_: object) -> None:
    return


MUTANTS: dict[str, Mutant] = {
    "retries the adjust": Mutant(
        partial(patch.object, workflow_adjust, "ONE_ATTEMPT", RetryPolicy(maximum_attempts=2)),
        frozenset({ViolationKind.ADJUSTED_TWICE, ViolationKind.UNAUDITED_CALL}),
    ),
    "forgets the confirming cancel": Mutant(
        partial(patch.object, order_settlement, "needs_confirming", lambda *_: False),
        frozenset({ViolationKind.NOT_CONFIRMED, ViolationKind.CANCELLED_BUT_HELD}),
    ),
    "swallows an exhausted compensation": Mutant(
        partial(patch.object, CancelRounds, "send", _swallow),
        frozenset({ViolationKind.CANCELLED_WITHOUT_CORRECT_REPLY, ViolationKind.CANCELLED_BUT_HELD}),
    ),
    "gives up a compensation silently": Mutant(
        partial(patch.object, CancelRounds, "send", _give_up_silently),
        frozenset({ViolationKind.NOT_AT_REST}),
        rests=False,
    ),
    "adjusts again under another number": Mutant(
        partial(patch.object, adjust_activity.Adjust, "_send", _send_again_under_another_number),
        frozenset({ViolationKind.MONEY_DOES_NOT_ADD_UP}),
    ),
    "confirms under the first cancel's number": Mutant(
        partial(patch.object, tasks, "cancel_unique_no", _number_of_first_cancel),
        frozenset({ViolationKind.WRONG_CANCEL_NUMBER, ViolationKind.NUMBER_REUSED}),
    ),
    "sends another body under the same number": Mutant(
        partial(patch.object, cancel_activity, "_body", _another_body), frozenset({ViolationKind.NUMBER_REUSED})
    ),
    "decides on a late success": Mutant(
        partial(patch.object, adjust_activity, "DEADLINES", Deadlines(connect_s=1, reply_s=30)),
        frozenset({ViolationKind.LATE_SUCCESS_COUNTED}),
    ),
    "forgets earlier attempts in the audit": Mutant(
        partial(patch.object, cancel_activity, "_earlier_attempts", _no_calls),
        frozenset({ViolationKind.UNAUDITED_CALL}),
    ),
    "assumes that every heartbeat arrives": Mutant(
        partial(patch.multiple, lost_calls, with_unreported=_only_reported), frozenset({ViolationKind.UNAUDITED_CALL})
    ),
    "forgets what a terminated workflow may have sent": Mutant(
        partial(patch.object, order_settlement, "calls_of_lost_round", _no_calls),
        frozenset({ViolationKind.UNAUDITED_CALL}),
    ),
    "sends an order although the circuit breaker is open": Mutant(
        partial(patch.object, adjust_activity.Adjust, "_send", _send_although_refused),
        frozenset({ViolationKind.EXPIRED_BUT_RECEIVED}),
    ),
    "accepts the reply of another call": Mutant(
        partial(patch.object, classify, "_classify_reply", _any_trace), frozenset({ViolationKind.SETTLED_NOT_HELD})
    ),
    "treats a lost adjust as applied": Mutant(
        partial(patch.object, workflow_adjust, "lost_adjust", partial(_lost_with_outcome, Outcome.APPLIED)),
        frozenset({ViolationKind.SETTLED_NOT_HELD, ViolationKind.INVENTED_REPLY, ViolationKind.CONTRADICTS_REPORTS}),
    ),
    "treats a lost adjust as not sent": Mutant(
        partial(patch.object, workflow_adjust, "lost_adjust", partial(_lost_with_outcome, Outcome.NOT_SENT)),
        frozenset(
            {ViolationKind.EXPIRED_BUT_RECEIVED, ViolationKind.UNAUDITED_CALL, ViolationKind.CONTRADICTS_REPORTS}
        ),
    ),
    "swaps two cancel results": Mutant(
        partial(patch.object, cancel_activity, "cancel_result", _swapped_result),
        frozenset({ViolationKind.CANCEL_RESULT_WRONG}),
    ),
    "changes the decision when it is resolved": Mutant(
        partial(patch.object, saga_state, "decision_of", _changed_decision),
        # The ledger always rejects a second decision, so the two views never agree again.
        frozenset({ViolationKind.DECISION_CHANGED, ViolationKind.VIEWS_DIFFER}),
        rests=False,
    ),
    "believes a contradiction": Mutant(
        partial(patch.object, order_settlement, "contradicts", lambda *_: False),
        frozenset({ViolationKind.CONTRADICTION_BELIEVED, ViolationKind.CONTRADICTS_REPORTS}),
    ),
    "lets a cancel be in process without a limit": Mutant(
        partial(patch.object, cancel_activity, "_within_bounds", lambda _, verdict: verdict),
        frozenset({ViolationKind.CONTRADICTS_REPORTS}),
    ),
    "retries a cancel that is refused for good": Mutant(
        partial(patch.object, cancel_activity, "CancelRefusedError", cancel_activity.IncorrectCancelReplyError),
        frozenset({ViolationKind.CONTRADICTS_REPORTS}),
    ),
    "leaves out the sparse band": Mutant(
        partial(patch.object, cancel_rounds, "attempts_of_round", lambda policy: policy.cancel_max_attempts),
        frozenset({ViolationKind.CONTRADICTS_REPORTS}),
    ),
    "records no operator action": Mutant(
        partial(patch.object, SagaState, "record_action", _do_not_act),
        frozenset({ViolationKind.RESOLVED_WITHOUT_ACTION}),
    ),
    "lets one operator approve": Mutant(
        partial(patch.object, OperatorActs, "_check_proposal", _do_not_act),
        frozenset({ViolationKind.RESOLVED_BY_ONE_OPERATOR}),
    ),
    "completes before the ledger is written": Mutant(
        partial(patch.object, Journal, "close", _close_at_once),
        frozenset({ViolationKind.VIEWS_DIFFER, ViolationKind.NOT_LISTED}),
        rests=False,
    ),
}
