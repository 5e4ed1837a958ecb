"""What was known of a settlement when its workflow was lost."""

from datetime import datetime, timedelta
from typing import Any

from contract.operations import Operation
from settlement.audit_window import audit_counts
from settlement.calls import CallRecord, Verdict
from settlement.ids import CancelKind, cancel_unique_no
from settlement.snapshot import ActionKind, CancelIntent, OperatorAction, ResolutionProposal, Snapshot, StateChange
from settlement.start import Carried, SettlementInput, TakeUp, accepted_snapshot
from settlement.states import CancelResult, Decision, State
from tests.support.scripted import NOT_APPLIED, UNKNOWN

REASON = "its workflow was terminated"
REMARK = "adjust UNKNOWN (DEADLINE)"
"""Other than any that a take-up would come up with by itself."""


def adjusting(settlement: SettlementInput) -> Snapshot:
    """Nothing was reported: the adjust may have been sent, or not."""
    return accepted_snapshot(settlement)


def cancelling(settlement: SettlementInput) -> Snapshot:
    """The adjust timed out, and the cancel was begun; nothing is known of what was sent."""
    at = settlement.accepted_at + timedelta(seconds=3)
    return Snapshot(
        version=2,
        state=State.CANCELLING,
        decision=Decision.VOID,
        reason=REMARK,
        decided_at=at,
        updated_at=at,
        calls=(_adjust(settlement, UNKNOWN),),
        state_changes=(StateChange(state=State.CANCELLING, at=at, reason=REMARK),),
        cancel_intents=(_act(settlement, CancelKind.FIRST, 3),),
    )


def quarantined(settlement: SettlementInput) -> Snapshot:
    """The first cancel was answered "not applied"; the confirming one is due after the quarantine."""
    before = cancelling(settlement)
    due_s = 3 + settlement.policy.confirm_after_s
    return before.model_copy(
        update={
            "version": 4,
            "calls": (*before.calls, cancel(settlement, CancelKind.FIRST, NOT_APPLIED, CancelResult.NOT_APPLIED)),
            "cancel_intents": (*before.cancel_intents, _act(settlement, CancelKind.CONFIRMING, due_s)),
        }
    )


def aborted(settlement: SettlementInput) -> Snapshot:
    """A whole round of the first cancel failed."""
    return _given_up(settlement, cancelling(settlement), CancelKind.FIRST)


def aborted_confirming(settlement: SettlementInput) -> Snapshot:
    """A whole round of the confirming cancel failed."""
    return _given_up(settlement, quarantined(settlement), CancelKind.CONFIRMING)


def proposed(settlement: SettlementInput) -> Snapshot:
    """An operator proposed a resolution after the abort."""
    before = aborted(settlement)
    at = settlement.accepted_at + timedelta(seconds=30)
    proposal: dict[str, Any] = {
        "operator": "night-shift",
        "reason_code": "REVERSED_BY_BROKER",
        "note": "by hand",
        "broker_reference": "17",
    }
    return before.model_copy(
        update={
            "version": before.version + 2,
            "updated_at": at,
            "actions": (OperatorAction(kind=ActionKind.PROPOSE_RESOLUTION, at=at, **proposal),),
            "proposal": ResolutionProposal(proposal_no=0, key_id=None, at=at, **proposal),
        }
    )


def taken_up(known: Snapshot, lost_at: datetime | None = None) -> TakeUp:
    """Return what a workflow that goes on from there is started with."""
    return TakeUp(snapshot=known, reason=REASON, lost_at=lost_at)


def carried(known: Snapshot) -> Carried:
    """Return what a run hands to the next when its history has become long, with all of it in the ledger."""
    return Carried(snapshot=known, round=0, recorded_version=known.version, recorded=audit_counts(known))


def cancel(
    settlement: SettlementInput, kind: CancelKind, verdict: Verdict, result: CancelResult | None = None
) -> CallRecord:
    """Return the record of one cancel."""
    return CallRecord(
        operation=Operation.CANCEL_ADJUST,
        kind=kind,
        request_unique_no=cancel_unique_no(settlement.adjust.requestUniqueNo, kind),
        sent_at=settlement.accepted_at + timedelta(seconds=3),
        duration_ms=17,
        verdict=verdict,
        cancel_result=result,
    )


def _given_up(settlement: SettlementInput, before: Snapshot, kind: CancelKind) -> Snapshot:
    at = settlement.accepted_at + timedelta(seconds=20)
    failed = tuple(cancel(settlement, kind, UNKNOWN) for _ in range(settlement.policy.cancel_max_attempts))
    change = StateChange(state=State.ABORTED, at=at, reason="out of attempts")
    return before.model_copy(
        update={
            "version": before.version + 1,
            "state": State.ABORTED,
            "calls": (*before.calls, *failed),
            "state_changes": (*before.state_changes, change),
        }
    )


def _adjust(settlement: SettlementInput, verdict: Verdict) -> CallRecord:
    number = settlement.adjust.requestUniqueNo
    sent_at = settlement.accepted_at
    return CallRecord(operation=Operation.ADJUST, request_unique_no=number, sent_at=sent_at, verdict=verdict)


def _act(settlement: SettlementInput, kind: CancelKind, after_s: float) -> CancelIntent:
    moment = settlement.accepted_at + timedelta(seconds=after_s)
    return CancelIntent(kind=kind, request_time_ms=round(moment.timestamp() * 1000), remark=REMARK)
