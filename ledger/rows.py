"""Between contract models and rows: pure functions, the same for both databases."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from settlement.calls import CallRecord, Verdict
from settlement.reply_record import ReplyRecord
from settlement.snapshot import LeftOut, OperatorAction, Snapshot, StateChange
from settlement.start import SettlementInput
from settlement.states import CancelResult, Decision, Outcome, State

Values = dict[str, Any]


_NO_REPLY: Values = dict.fromkeys(ReplyRecord.model_fields)
"""The columns of a reply where there was none. A reply has a code at least."""


def _storable(values: Values) -> Values:
    """Replace NUL, which PostgreSQL cannot store: one in an operator's reason must keep nothing out of the ledger."""
    return {
        name: value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
        for name, value in values.items()
    }


def settlement_values(settlement: SettlementInput, snapshot: Snapshot) -> Values:
    """Return the row of a settlement as of one snapshot."""
    adjust = settlement.adjust
    return {
        "request_unique_no": adjust.requestUniqueNo,
        "input": settlement.model_dump(mode="json"),
        "order_id": adjust.orderId,
        "user_name": adjust.userName,
        "company_id": settlement.company_id,
        "currency": adjust.currency,
        "amount": adjust.amount,
        "accepted_at": settlement.accepted_at,
        **snapshot_values(snapshot),
    }


def snapshot_values(snapshot: Snapshot) -> Values:
    """Return the columns that change as the settlement goes on."""
    values: Values = _storable(
        {
            "version": snapshot.version,
            "state": snapshot.state.value,
            "decision": snapshot.decision and snapshot.decision.value,
            "cancel_result": snapshot.cancel_result and snapshot.cancel_result.value,
            "reason": snapshot.reason,
            "decided_at": snapshot.decided_at,
            "updated_at": snapshot.updated_at,
            "in_doubt": is_in_doubt(snapshot),
            "cancel_intents": [act.model_dump(mode="json") for act in snapshot.cancel_intents],
        }
    )
    if snapshot.calls or not snapshot.left_out.calls:  # otherwise the last call is in the ledger already
        values["last_rule"] = snapshot.calls[-1].verdict.rule.value if snapshot.calls else None
    return values


def is_in_doubt(snapshot: Snapshot) -> bool:
    """Tell whether the external system may hold the amount although the order is void.

    So it is when aborted, and while cancelling after an adjust that was not certainly refused.
    """
    if snapshot.state is State.ABORTED:
        return True
    refused = snapshot.adjust is not None and snapshot.adjust.outcome is Outcome.REJECTED
    return snapshot.state is State.CANCELLING and not refused


def call_values(settlement_no: str, snapshot: Snapshot) -> list[Values]:
    """Return a row for each call that a snapshot carries; its position is its place in the whole audit, from 0."""
    return [
        _storable(
            {
                "settlement_no": settlement_no,
                "position": position,
                **call.model_dump(exclude={"verdict"}, by_alias=False),
                **call.verdict.model_dump(exclude={"reply"}, by_alias=False),
                **(call.verdict.reply.model_dump(by_alias=False) if call.verdict.reply else _NO_REPLY),
            }
        )
        for position, call in enumerate(snapshot.calls, start=snapshot.left_out.calls)
    ]


def act_values(settlement_no: str, snapshot: Snapshot) -> list[Values]:
    """Return a row for each act that a snapshot carries; its position is its place in the whole audit, from 0."""
    return [
        _storable({"settlement_no": settlement_no, "position": position, **act.model_dump(by_alias=False)})
        for position, act in enumerate(snapshot.actions, start=snapshot.left_out.actions)
    ]


def state_change_values(settlement_no: str, snapshot: Snapshot) -> list[Values]:
    """Return a row for each state entered that a snapshot carries; its position, from 1, is its event's id."""
    return [
        _storable({"settlement_no": settlement_no, "position": position, **change.model_dump(by_alias=False)})
        for position, change in enumerate(snapshot.state_changes, start=snapshot.left_out.state_changes + 1)
    ]


def to_input(row: Row[Any]) -> SettlementInput:
    """Read back what was accepted."""
    return SettlementInput.model_validate(row.input)


def to_snapshot(
    row: Row[Any], calls: Sequence[Row[Any]], acts: Sequence[Row[Any]], changes: Sequence[Row[Any]]
) -> Snapshot:
    """Read back the snapshot that was recorded last."""
    return Snapshot(
        version=row.version,
        state=State(row.state),
        decision=row.decision and Decision(row.decision),
        cancel_result=row.cancel_result and CancelResult(row.cancel_result),
        reason=row.reason,
        decided_at=row.decided_at,
        updated_at=row.updated_at,
        calls=tuple(_to_call(_fields(call)) for call in calls),
        actions=tuple(OperatorAction.model_validate(_fields(act)) for act in acts),
        state_changes=tuple(StateChange.model_validate(_fields(change)) for change in changes),
        cancel_intents=row.cancel_intents,
        left_out=_missing(calls, acts, changes),
    )


def _missing(calls: Sequence[Row[Any]], acts: Sequence[Row[Any]], changes: Sequence[Row[Any]]) -> LeftOut:
    """Return how many entries the ledger lacks: some of a long audit, after a backup was restored; else none."""
    missing_calls = calls[-1].position + 1 - len(calls) if calls else 0
    adjust = _to_call(_fields(calls[0])).verdict if missing_calls and calls[0].kind is None else None
    return LeftOut(
        calls=missing_calls,
        actions=acts[-1].position + 1 - len(acts) if acts else 0,
        state_changes=changes[-1].position - len(changes) if changes else 0,
        adjust=adjust,
    )


def _fields(row: Row[Any]) -> Values:
    return dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name


def _to_call(values: Values) -> CallRecord:
    reply = None if values["code"] is None else ReplyRecord.model_validate(values)
    return CallRecord.model_validate({**values, "verdict": Verdict.model_validate({**values, "reply": reply})})
