"""Planted bugs, one of each kind that this product must not have. The simulation must catch each by name.

Each is a patch of the real workflow or activities; what is not patched is the product.
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
from activities.cancel_adjust import CancelAdjust
from connector import Deadlines, classify
from connector.exchange import Reply
from contract.cancel_adjust import CancelAdjustBody
from settlement import tasks
from settlement.calls import CallRecord, Verdict
from settlement.ids import CancelKind, cancel_unique_no
from settlement.snapshot import CancelIntent
from settlement.start import SettlementInput
from settlement.states import CancelResult, Decision, Outcome, State, decision_of
from settlement.tasks import CancelTask
from tests.simulation.broken import Broken
from workflows import lost_calls, order_settlement, saga_state
from workflows.journal import Journal
from workflows.order_settlement import OrderSettlement
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
    caught_by: frozenset[Broken]
    """The names of the violations by which it must be caught; there may be more."""
    rests: bool = True
    """Whether its settlements come to rest at all."""


async def _swallow(self: OrderSettlement, intent: CancelIntent) -> CancelResult | None:
    """Take a compensation that ran out of attempts for one that found nothing to undo."""
    saga = self._saga
    try:
        report = await self._cancel_round(CancelTask(settlement=self._settlement, intent=intent, round=saga.round))
    except ActivityError as error:
        task = CancelTask(settlement=self._settlement, intent=intent, round=0)
        calls = lost_calls.calls_of_failed_cancel(error, task, 3, workflow.now())
        saga.record_calls(calls, "as if nothing had happened")
        return CancelResult.NOT_APPLIED
    saga.record_calls(report.calls, f"{intent.kind} cancel adjust answered {report.result}")
    return report.result


async def _give_up_unseen(self: OrderSettlement, intent: CancelIntent) -> CancelResult:
    """Let a compensation that ran out of attempts rest where no one sees it: neither aborted nor at its end."""
    try:
        report = await self._cancel_round(
            CancelTask(settlement=self._settlement, intent=intent, round=self._saga.round)
        )
    except ActivityError:
        await workflow.wait_condition(lambda: False)
        raise
    self._saga.record_calls(report.calls, f"{intent.kind} cancel adjust answered {report.result}")
    return report.result


async def _send_again_renamed(self: adjust_activity.Adjust, task: SettlementInput) -> Verdict:
    """After an unknown adjust try another one under a number of its own; what it comes to is told to no one."""
    verdict: Verdict = await _send_adjust(self, task)
    if verdict.outcome is Outcome.UNKNOWN:
        renamed = task.adjust.model_copy(update={"requestUniqueNo": f"{task.adjust.requestUniqueNo}-again"})
        await _send_adjust(self, task.model_copy(update={"adjust": renamed}))
    return verdict


def _another_body(_: CancelAdjust, task: CancelTask) -> CancelAdjustBody:
    """Date each attempt anew, so that a repeated request is another request."""
    return CancelAdjustBody.undoing(
        task.settlement.adjust,
        number=task.request_unique_no,
        request_time_ms=next(_other_times_ms),
        remark=task.intent.remark,
    )


def _firsts_number(number: str, kind: CancelKind) -> str:  # noqa: ARG001 - the mutant has its original's parameters
    return cancel_unique_no(number, CancelKind.FIRST)


def _lost_is(outcome: Outcome, *about: Any) -> CallRecord:  # noqa: ANN401 - passed on as it is
    record = _lost_adjust(*about)
    return record.model_copy(update={"verdict": record.verdict.model_copy(update={"outcome": outcome})})


def _turned_result(*about: Any) -> CancelResult | None:  # noqa: ANN401 - passed on as it is
    turned = {
        CancelResult.NOT_APPLIED: CancelResult.NEVER_RECEIVED,
        CancelResult.NEVER_RECEIVED: CancelResult.NOT_APPLIED,
    }
    result = _cancel_result(*about)
    return turned.get(result, result) if result else None


def _turned_decision(state: State) -> Decision | None:
    return Decision.PROCEED if state is State.RESOLVED else decision_of(state)


async def _close_at_once(_: Journal) -> None:
    return


def _nothing_heard(*_: object) -> tuple[CallRecord, ...]:
    return ()


def _only_heard(heard: tuple[CallRecord, ...], *_: object) -> tuple[CallRecord, ...]:
    return heard


def _whosever(reply: Reply, _: str | None) -> Verdict:
    return _classify_reply(reply, None)


def _do_not_act(*_: object) -> None:
    return


MUTANTS: dict[str, Mutant] = {
    "retries the adjust": Mutant(
        partial(patch.object, order_settlement, "ONE_ATTEMPT", RetryPolicy(maximum_attempts=2)),
        frozenset({Broken.ADJUSTED_TWICE, Broken.UNAUDITED_CALL}),
    ),
    "forgets the confirming cancel": Mutant(
        partial(patch.object, order_settlement, "needs_confirming", lambda *_: False),
        frozenset({Broken.NOT_CONFIRMED, Broken.CANCELLED_BUT_HELD}),
    ),
    "swallows an exhausted compensation": Mutant(
        partial(patch.object, OrderSettlement, "_cancel_until_consistent", _swallow),
        frozenset({Broken.CANCELLED_WITHOUT_CORRECT_REPLY, Broken.CANCELLED_BUT_HELD}),
    ),
    "gives up a compensation unseen": Mutant(
        partial(patch.object, OrderSettlement, "_cancel_until_consistent", _give_up_unseen),
        frozenset({Broken.NOT_AT_REST}),
        rests=False,
    ),
    "adjusts again under another number": Mutant(
        partial(patch.object, adjust_activity.Adjust, "_send", _send_again_renamed),
        frozenset({Broken.MONEY_DOES_NOT_ADD_UP}),
    ),
    "confirms under the first cancel's number": Mutant(
        partial(patch.object, tasks, "cancel_unique_no", _firsts_number),
        frozenset({Broken.WRONG_CANCEL_NUMBER, Broken.NUMBER_REUSED}),
    ),
    "sends another body under the same number": Mutant(
        partial(patch.object, CancelAdjust, "_body", _another_body), frozenset({Broken.NUMBER_REUSED})
    ),
    "decides on a late success": Mutant(
        partial(patch.object, adjust_activity, "DEADLINES", Deadlines(connect_s=1, reply_s=30)),
        frozenset({Broken.LATE_SUCCESS_COUNTED}),
    ),
    "forgets earlier attempts in the audit": Mutant(
        partial(patch.object, CancelAdjust, "_earlier_attempts", _nothing_heard), frozenset({Broken.UNAUDITED_CALL})
    ),
    "trusts that every heartbeat gets through": Mutant(
        partial(patch.multiple, lost_calls, with_unreported=_only_heard), frozenset({Broken.UNAUDITED_CALL})
    ),
    "forgets what a workflow had time to send before it was ended from outside": Mutant(
        partial(patch.object, order_settlement, "calls_of_lost_round", _nothing_heard),
        frozenset({Broken.UNAUDITED_CALL}),
    ),
    "takes another call's reply for its own": Mutant(
        partial(patch.object, classify, "_classify_reply", _whosever), frozenset({Broken.SETTLED_NOT_HELD})
    ),
    "takes a lost adjust for an applied one": Mutant(
        partial(patch.object, order_settlement, "lost_adjust", partial(_lost_is, Outcome.APPLIED)),
        frozenset({Broken.SETTLED_NOT_HELD, Broken.INVENTED_REPLY, Broken.NOT_WHAT_IT_WAS_TOLD}),
    ),
    "takes a lost adjust for one that was not sent": Mutant(
        partial(patch.object, order_settlement, "lost_adjust", partial(_lost_is, Outcome.NOT_SENT)),
        frozenset({Broken.EXPIRED_BUT_RECEIVED, Broken.UNAUDITED_CALL, Broken.NOT_WHAT_IT_WAS_TOLD}),
    ),
    "mixes up two cancel results": Mutant(
        partial(patch.object, cancel_activity, "cancel_result", _turned_result),
        frozenset({Broken.CANCEL_RESULT_UNTRUE}),
    ),
    "turns the decision when it is resolved": Mutant(
        partial(patch.object, saga_state, "decision_of", _turned_decision),
        # The ledger refuses a second decision, for ever; so the two never tell the same story again.
        frozenset({Broken.DECISION_CHANGED, Broken.STORIES_DIFFER}),
        rests=False,
    ),
    "keeps no act": Mutant(
        partial(patch.object, SagaState, "record_action", _do_not_act), frozenset({Broken.RESOLVED_BY_NOBODY})
    ),
    "closes before the ledger knows": Mutant(
        partial(patch.object, Journal, "close", _close_at_once),
        frozenset({Broken.STORIES_DIFFER, Broken.NOT_LISTED}),
        rests=False,
    ),
}
