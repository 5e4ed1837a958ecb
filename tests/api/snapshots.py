"""Snapshots of settlements in each state, as the ledger has them."""

from datetime import UTC, datetime, timedelta

from contract.operations import Operation
from settlement.calls import CallRecord, Verdict
from settlement.ids import CancelKind, cancel_unique_no
from settlement.reply_record import ReplyRecord
from settlement.snapshot import ActionKind, OperatorAction, Snapshot, StateChange
from settlement.start import SettlementInput
from settlement.states import CancelResult, State, decision_of
from tests.support.scripted import APPLIED, NEVER_RECEIVED, REJECTED, REVERSED, UNKNOWN


def snapshot_in(settlement: SettlementInput, state: State) -> Snapshot:
    """Return a minimal snapshot in a state."""
    at = settlement.accepted_at + timedelta(seconds=1)
    return Snapshot(
        version=1,
        state=state,
        decision=decision_of(state),
        cancel_result=CancelResult.REVERSED if state is State.CANCELLED else None,
        reason=f"it is {state}",
        decided_at=at,
        updated_at=at,
        calls=(_call(settlement, at, APPLIED if state is State.SETTLED else UNKNOWN),),
    )


BROKER_REJECTION = ReplyRecord(
    biz_code="PAY",
    code="E17",
    msg="no credit: {0} of {1}",
    tm=12,
    trace="trace-7",
    msg_params="12.50,10.00",
    data='{"limit": 10.00}',
    ok=False,
    fail=True,
)
"""A rejection with every field of table 4."""


def rejected_snapshot(settlement: SettlementInput) -> Snapshot:
    """Return the snapshot of an order that the broker rejected with `BROKER_REJECTION`."""
    snapshot = snapshot_in(settlement, State.CANCELLED)
    verdict = REJECTED.model_copy(update={"reply": BROKER_REJECTION})
    return snapshot.model_copy(update={"calls": (_call(settlement, settlement.accepted_at, verdict),)})


def full_audit_snapshot(settlement: SettlementInput) -> Snapshot:
    """Return a snapshot with a timed-out adjust, a failed round of cancels, and two operator actions."""
    start = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
    moments = [start + timedelta(seconds=each, microseconds=123456) for each in range(8)]
    first, confirming = CancelKind
    acts = (
        OperatorAction(
            kind=ActionKind.RETRY_CANCEL_ADJUST, operator="night-shift", note="broker is back", at=moments[3]
        ),
        OperatorAction(
            kind=ActionKind.RESOLVE, operator="day-shift", note="by hand", broker_reference="ticket 17", at=moments[7]
        ),
    )
    return Snapshot(
        version=9,
        state=State.CANCELLED,
        decision=decision_of(State.CANCELLED),
        cancel_result=CancelResult.REVERSED,
        reason="consistent again: REVERSED",
        decided_at=moments[1],
        updated_at=moments[7],
        calls=(
            _call(settlement, moments[0], UNKNOWN),
            _cancel(settlement, first, moments[1], UNKNOWN, duration_ms=None),
            _cancel(settlement, first, moments[4], NEVER_RECEIVED, CancelResult.NEVER_RECEIVED, retried=1, attempt=2),
            _cancel(settlement, confirming, moments[6], REVERSED, CancelResult.REVERSED),
        ),
        actions=acts,
        state_changes=(
            StateChange(state=State.CANCELLING, at=moments[1], reason="adjust UNKNOWN (DEADLINE)"),
            StateChange(state=State.ABORTED, at=moments[2], reason="FIRST cancel adjust ran out of attempts"),
        ),
    )


def _call(settlement: SettlementInput, at: datetime, verdict: Verdict) -> CallRecord:
    return CallRecord(
        operation=Operation.ADJUST,
        request_unique_no=settlement.adjust.requestUniqueNo,
        sent_at=at,
        duration_ms=3001,
        verdict=verdict,
    )


def _cancel(  # noqa: PLR0913 - one argument for each thing that differs between cancels
    settlement: SettlementInput,
    kind: CancelKind,
    at: datetime,
    verdict: Verdict,
    result: CancelResult | None = None,
    *,
    retried: int = 0,
    attempt: int = 1,
    duration_ms: int | None = 17,
) -> CallRecord:
    return CallRecord(
        operation=Operation.CANCEL_ADJUST,
        kind=kind,
        request_unique_no=cancel_unique_no(settlement.adjust.requestUniqueNo, kind),
        round=retried,
        attempt=attempt,
        sent_at=at,
        duration_ms=duration_ms,
        verdict=verdict,
        cancel_result=result,
    )
