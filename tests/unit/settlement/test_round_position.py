"""Where a round stands, from its snapshot; and which calls a lost workflow can have sent in both bands."""

from datetime import datetime, timedelta

import pytest

from settlement.calls import Rule, Verdict
from settlement.external_systems import waiting_reason
from settlement.ids import CancelKind
from settlement.policy import attempts_of_round, waits_s
from settlement.round_position import due_times, plan_in_words, round_position, round_started_at, utc_text
from settlement.snapshot import ActionKind, OperatorAction, Snapshot
from settlement.states import CancelResult
from tests.support import lost
from tests.support.orders import SPARSE_POLICY, settlement
from tests.support.scripted import BUSY, IN_PROCESS, UNKNOWN
from workflows.lost_calls import LOST_WITH_ITS_WORKFLOW, calls_of_lost_round

ORDER = settlement(policy=SPARSE_POLICY)
BEGUN = lost.cancelling(ORDER)
LATER = BEGUN.updated_at + timedelta(minutes=1)


def after(*calls: tuple[int, Verdict]) -> Snapshot:
    """Return the snapshot of a round after these calls, each with the number of its attempt."""
    records = [
        lost.cancel(ORDER, CancelKind.FIRST, verdict).model_copy(update={"attempt": number})
        for number, verdict in calls
    ]
    return BEGUN.model_copy(update={"calls": (*BEGUN.calls, *records), "updated_at": LATER})


def in_s(seconds: float) -> datetime:
    return LATER + timedelta(seconds=seconds)


FIRST_BAND = ((1, UNKNOWN), (2, UNKNOWN), (3, UNKNOWN))


def test_a_round_that_has_recorded_nothing_is_at_its_start() -> None:
    assert round_position(ORDER, BEGUN) == (0, round_started_at(BEGUN))
    assert len(due_times(SPARSE_POLICY, round_position(ORDER, BEGUN))) == attempts_of_round(SPARSE_POLICY)


@pytest.mark.parametrize(
    ("snapshot", "made", "wait_s"),
    [
        (after((1, IN_PROCESS)), 0, 1),
        (after((1, IN_PROCESS), (1, UNKNOWN), (2, IN_PROCESS)), 1, 2),
        (after(*FIRST_BAND), 3, 20),
        (after((1, UNKNOWN), (3, UNKNOWN), (2, UNKNOWN)), 3, 20),
        (after((1, UNKNOWN), (2, UNKNOWN), (3, BUSY)), 3, 20),
        (after((1, UNKNOWN), (2, UNKNOWN), (3, BUSY.model_copy(update={"retry_after_s": 25}))), 3, 25),
        (after(*FIRST_BAND, (4, IN_PROCESS)), 3, 1),
    ],
)
def test_the_next_attempt_is_due_after_the_wait_of_the_last_call(snapshot: Snapshot, made: int, wait_s: float) -> None:
    assert round_position(ORDER, snapshot) == (made, in_s(wait_s))


def test_while_the_system_is_not_configured_the_next_attempt_can_be_sent_at_any_time() -> None:
    waiting = after((1, UNKNOWN)).model_copy(update={"reason": waiting_reason(ORDER.system, Rule.NOT_CONFIGURED)})
    assert round_position(ORDER, waiting) == (1, LATER)


def test_calls_of_an_earlier_round_or_of_another_cancel_do_not_count() -> None:
    ended = after(*FIRST_BAND)
    retry = OperatorAction(kind=ActionKind.RETRY_CANCEL_ADJUST, operator="ops", note="why", at=in_s(60))
    retried = ended.model_copy(update={"actions": (retry,), "updated_at": in_s(60)})
    assert round_position(ORDER, retried) == (0, in_s(60))
    waiting = retried.model_copy(
        update={"updated_at": in_s(70), "reason": waiting_reason(ORDER.system, Rule.NOT_CONFIGURED)}
    )
    assert round_position(ORDER, waiting).attempts_made == 0
    quarantined = lost.quarantined(ORDER)
    assert quarantined.calls[-1].cancel_result is CancelResult.NOT_APPLIED
    assert round_position(ORDER, quarantined) == (0, quarantined.cancel_intents[-1].due_at)


def test_the_plan_names_band_next_attempt_and_abort() -> None:
    assert plan_in_words(SPARSE_POLICY, round_position(ORDER, after(*FIRST_BAND))) == (
        f"sparse band: attempt 4 of 6 at {utc_text(in_s(20))}; ABORTED at about {utc_text(in_s(80))} "
        "if no reply settles it"
    )
    assert plan_in_words(SPARSE_POLICY, round_position(ORDER, BEGUN)).startswith("first band: attempt 1 of 6 at ")


@pytest.mark.parametrize(("lost_after_s", "numbers"), [(10, []), (20, [4]), (49, [4]), (51, [4, 5]), (1e6, [4, 5, 6])])
def test_a_workflow_lost_before_or_in_the_sparse_band_can_have_sent_what_was_due(
    lost_after_s: float, numbers: list[int]
) -> None:
    calls = calls_of_lost_round(ORDER, after(*FIRST_BAND), 0, in_s(lost_after_s))
    assert [call.attempt for call in calls] == numbers
    assert all(call.verdict == LOST_WITH_ITS_WORKFLOW for call in calls)


def test_a_workflow_lost_in_the_first_band_can_have_sent_both_bands() -> None:
    whole_s = sum(waits_s(SPARSE_POLICY))
    calls = calls_of_lost_round(ORDER, BEGUN, 0, BEGUN.updated_at + timedelta(seconds=whole_s))
    assert [call.attempt for call in calls] == [1, 2, 3, 4, 5, 6]


def test_a_workflow_lost_while_in_process_can_have_sent_the_same_attempt_again() -> None:
    calls = calls_of_lost_round(ORDER, after((1, UNKNOWN), (2, IN_PROCESS)), 0, in_s(1.5))
    assert [call.attempt for call in calls] == [2]
