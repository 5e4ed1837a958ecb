"""Snapshots, calls and acts to record; orders come from `tests.support.orders`."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from contract.operations import Operation
from settlement.calls import CallRecord, Phase, Rule, Verdict
from settlement.ids import CancelKind
from settlement.reply_record import ReplyRecord
from settlement.snapshot import ActionKind, CancelIntent, OperatorAction, Snapshot, StateChange
from settlement.states import CancelResult, Decision, Outcome, State

Fields = dict[str, Any]

NOON = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)
EAST = timezone(timedelta(hours=5, minutes=45))
WIDE_TEXT = "Ünï ☂ 结算 🧾 'quoted' \"twice\" %s :name \\ \n\t"


def accepted(**fields: Any) -> Snapshot:  # noqa: ANN401 - any field of Snapshot
    """Return the snapshot that an order is accepted with."""
    least: Fields = {"version": 0, "state": State.ADJUSTING, "reason": "accepted", "updated_at": NOON}
    return Snapshot(**least | fields)


def call(attempt: int = 1, **fields: Any) -> CallRecord:  # noqa: ANN401 - any field of CallRecord
    """Return an adjust in flight, nothing known of it yet."""
    verdict = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.DEADLINE)
    least: Fields = {"operation": Operation.ADJUST, "request_unique_no": "N-1", "sent_at": NOON, "verdict": verdict}
    return CallRecord(**least | {"attempt": attempt} | fields)


def full_call(attempt: int = 1) -> CallRecord:
    """Return a cancel with every field set."""
    return CallRecord(
        operation=Operation.CANCEL_OPERATION,
        kind=CancelKind.CONFIRMING,
        request_unique_no="C" * 48,
        round=3,
        attempt=attempt,
        sent_at=NOON.astimezone(EAST),
        duration_ms=2_999,
        verdict=Verdict(
            outcome=Outcome.REJECTED,
            rule=Rule.CODE_FAILURE,
            detail="d" * 300,
            http_status=200,
            reply=ReplyRecord(
                biz_code="b" * 64,
                code="🧾" * 64,
                msg=WIDE_TEXT,
                tm=-(2**63),
                trace="t" * 128,
                msg_params=WIDE_TEXT,
                data='{"rate": 12.50}',
                ok=False,
                fail=True,
            ),
            phase=Phase.BODY,
        ),
        cancel_result=CancelResult.NEVER_RECEIVED,
    )


def act(**fields: Any) -> OperatorAction:  # noqa: ANN401 - any field of OperatorAction
    """Return an operator act without a reference."""
    least: Fields = {
        "kind": ActionKind.RETRY_CANCEL_ADJUST,
        "operator": "night-shift",
        "note": "broker is back",
        "at": NOON,
    }
    return OperatorAction(**least | fields)


def full_act() -> OperatorAction:
    """Return an operator act with every field set and as long as it may be."""
    return act(
        kind=ActionKind.WORKFLOW_CANCELLATION,
        operator="🧾" * 64,
        reason_code="R" * 32,
        note=WIDE_TEXT,
        broker_reference="e" * 500,
    )


def resolved(version: int, **fields: Any) -> Snapshot:  # noqa: ANN401 - any field of Snapshot
    """Return a snapshot with every field set."""
    whole: Fields = {
        "state": State.RESOLVED,
        "decision": Decision.VOID,
        "cancel_result": CancelResult.NOT_APPLIED,
        "reason": WIDE_TEXT,
        "decided_at": NOON.astimezone(EAST),
        "updated_at": NOON + timedelta(microseconds=1),
        "calls": (call(), full_call(1), full_call(2)),
        "actions": (act(), full_act()),
        "state_changes": (
            StateChange(state=State.CANCELLING, at=NOON.astimezone(EAST), reason=WIDE_TEXT),
            StateChange(state=State.ABORTED, at=NOON, reason=""),
        ),
        "cancel_intents": (CancelIntent(kind=CancelKind.FIRST, request_time_ms=1_767_571_200_000, remark=WIDE_TEXT),),
    }
    return Snapshot(**whole | {"version": version} | fields)


def growing(version: int) -> Snapshot:
    """Return the snapshot of a settlement that makes one more call and one more act with each version.

    The last call is still in flight; one version later it has its answer.
    """
    calls = (*(full_call(attempt) for attempt in range(1, version)), call(version))
    acts = tuple(act(note=f"act {number}") for number in range(version))
    return Snapshot(
        version=version,
        state=State.CANCELLING,
        decision=Decision.VOID,
        reason=f"version {version}",
        decided_at=NOON,
        updated_at=NOON + timedelta(seconds=version),
        calls=calls,
        actions=acts,
    )
