"""The audit window: snapshots stay small, and what they leave out is in the ledger."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.operations import Operation
from settlement.audit_window import (
    ACTIONS_BYTES_MAX,
    CALLS_BYTES_MAX,
    CALLS_OF_ROUND_MAX,
    PAYLOAD_BYTES_MAX,
    STATE_CHANGES_BYTES_MAX,
    UNRECORDED_BYTES_MAX,
    audit_counts,
    leave_out,
    unrecorded_bytes,
    within_window,
)
from settlement.calls import CALL_RECORD_BYTES_MAX, CallRecord, Rule, Verdict
from settlement.ids import CancelKind
from settlement.operator_rules import NOTE_LENGTH_MAX
from settlement.snapshot import ActionKind, AuditCounts, OperatorAction, Snapshot, StateChange
from settlement.states import CancelResult, Decision, Outcome, State
from tests.support.longest import LONGEST_ACT, LONGEST_CALL, LONGEST_PROPOSAL, LONGEST_SETTLEMENT

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
ADJUST = CallRecord(
    operation=Operation.ADJUST,
    request_unique_no="n",
    sent_at=AT,
    verdict=Verdict(outcome=Outcome.REJECTED, rule=Rule.CODE_FAILURE, detail="x"),
)
CHANGE = StateChange(state=State.ABORTED, at=AT, reason="FIRST cancel adjust ran out of attempts")
ACT = OperatorAction(kind=ActionKind.RETRY_CANCEL_ADJUST, at=AT, operator="ops-1", note="again")


def cancel(kind: CancelKind, attempt: int, result: CancelResult | None = None) -> CallRecord:
    return CallRecord(
        operation=Operation.CANCEL_ADJUST,
        kind=kind,
        request_unique_no="c",
        attempt=attempt,
        sent_at=AT,
        verdict=Verdict(outcome=Outcome.UNKNOWN, rule=Rule.DEADLINE, detail="d" * 250),
        cancel_result=result,
    )


def snapshot_with_long_audit(calls: int, actions: int, changes: int) -> Snapshot:
    """Return a snapshot whose first cancel got an early reply and whose confirming cancel keeps failing."""
    first = cancel(CancelKind.FIRST, 1, CancelResult.NOT_APPLIED)
    confirming = [cancel(CancelKind.CONFIRMING, n) for n in range(1, max(1, calls - 1))]
    return Snapshot(
        version=7,
        state=State.ABORTED,
        decision=Decision.VOID,
        updated_at=AT,
        calls=(ADJUST, first, *confirming)[:calls],
        actions=(ACT,) * actions,
        state_changes=(CHANGE,) * changes,
    )


SIZES = st.integers(0, 60)
SNAPSHOTS = st.builds(snapshot_with_long_audit, SIZES, SIZES, SIZES)
COUNTS = st.builds(AuditCounts, calls=SIZES, actions=SIZES, state_changes=SIZES)


@given(SNAPSHOTS, COUNTS)
def test_left_out_entries_are_counted_and_the_newest_stay(snapshot: Snapshot, before: AuditCounts) -> None:
    shorter = leave_out(snapshot, before)
    assert audit_counts(shorter) == audit_counts(snapshot)
    assert shorter.calls == snapshot.calls[before.calls :]
    assert shorter.actions == snapshot.actions[before.actions :]
    assert shorter.state_changes == snapshot.state_changes[before.state_changes :]


@given(SNAPSHOTS, COUNTS, COUNTS)
def test_leaving_out_in_two_steps_equals_one_step(snapshot: Snapshot, first: AuditCounts, second: AuditCounts) -> None:
    both = AuditCounts(
        calls=max(first.calls, second.calls),
        actions=max(first.actions, second.actions),
        state_changes=max(first.state_changes, second.state_changes),
    )
    assert leave_out(leave_out(snapshot, first), second) == leave_out(snapshot, both)


@given(SNAPSHOTS, COUNTS)
def test_a_shortened_snapshot_answers_the_sagas_questions_the_same(snapshot: Snapshot, before: AuditCounts) -> None:
    shorter = leave_out(snapshot, before)
    assert (shorter.adjust and shorter.adjust.outcome) == (snapshot.adjust and snapshot.adjust.outcome)
    for kind in CancelKind:
        assert shorter.cancel_attempts(kind) == snapshot.cancel_attempts(kind)
        assert shorter.cancel_result_of(kind) is snapshot.cancel_result_of(kind)


@given(SNAPSHOTS, COUNTS)
def test_only_recorded_entries_are_left_out_and_the_newest_of_each_part_stays(
    snapshot: Snapshot, recorded: AuditCounts
) -> None:
    shorter = within_window(snapshot, recorded)
    assert shorter.left_out.calls <= recorded.calls
    assert shorter.left_out.actions <= recorded.actions
    assert shorter.left_out.state_changes <= recorded.state_changes
    for entries, rest in ((snapshot.calls, shorter.calls), (snapshot.actions, shorter.actions)):
        assert bool(entries) is bool(rest)
    assert audit_counts(shorter) == audit_counts(snapshot)


def test_left_out_actions_say_how_many_began_no_round() -> None:
    """The number of the next round is counted from them."""
    kinds = (ActionKind.RETRY_CANCEL_ADJUST, ActionKind.PROPOSE_RESOLUTION, ActionKind.WITHDRAW_PROPOSAL)
    actions = tuple(OperatorAction(kind=kind, at=AT, operator="ops", note="n") for kind in kinds)
    snapshot = Snapshot(version=9, state=State.ABORTED, updated_at=AT, actions=actions)
    first = leave_out(snapshot, AuditCounts(actions=2))
    both = leave_out(first, AuditCounts(actions=3))
    assert [each.left_out.actions_without_round for each in (first, both)] == [1, 2]
    assert {each.action_count for each in (snapshot, first, both)} == {3}


def test_a_usual_audit_fits_into_the_window() -> None:
    snapshot = snapshot_with_long_audit(calls=12, actions=3, changes=8)
    assert within_window(snapshot, audit_counts(snapshot)) == snapshot


def test_a_long_recorded_audit_fits_into_the_window() -> None:
    snapshot = Snapshot(
        version=9,
        state=State.ABORTED,
        updated_at=AT,
        calls=(LONGEST_CALL,) * 50,
        actions=(LONGEST_ACT,) * 50,
        state_changes=(CHANGE,) * 500,
        proposal=LONGEST_PROPOSAL,
    )
    shorter = within_window(snapshot, audit_counts(snapshot))
    assert (
        len(shorter.model_dump_json().encode()) <= CALLS_BYTES_MAX + ACTIONS_BYTES_MAX + STATE_CHANGES_BYTES_MAX + 5_000
    )


def test_every_payload_stays_below_a_fifth_of_the_servers_limit() -> None:
    """Sum of the window, the unrecorded entries, one more round and the order, each with the greatest lengths."""
    size = CALLS_BYTES_MAX + ACTIONS_BYTES_MAX + STATE_CHANGES_BYTES_MAX + UNRECORDED_BYTES_MAX
    a_round = CALLS_OF_ROUND_MAX * CALL_RECORD_BYTES_MAX
    order = len(LONGEST_SETTLEMENT.model_dump_json().encode())
    assert size + a_round + order + 2 * NOTE_LENGTH_MAX < PAYLOAD_BYTES_MAX == 2 * 1024 * 1024 // 5


@pytest.mark.parametrize("recorded", [0, 1, 5])
def test_the_size_of_unrecorded_entries_is_measured(recorded: int) -> None:
    snapshot = snapshot_with_long_audit(calls=5, actions=0, changes=0)
    new = snapshot.calls[recorded:]
    assert unrecorded_bytes(snapshot, AuditCounts(calls=recorded)) == sum(
        len(call.model_dump_json().encode()) for call in new
    )
