"""Converts between settlements and their rows. Pure functions, the same for both databases."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from ledger.chain import Head, hash_of_acceptance, new_salt
from settlement.calls import CallRecord, Verdict
from settlement.ids import SettlementId
from settlement.reply_record import ReplyRecord
from settlement.snapshot import LeftOut, OperatorAction, Snapshot, StateChange
from settlement.start import SettlementInput
from settlement.states import CancelResult, Decision, Outcome, State

Values = dict[str, Any]

_NO_REPLY: Values = dict.fromkeys(ReplyRecord.model_fields)
"""The reply columns of a call without a reply. A reply always has a code."""


def _storable(values: Values) -> Values:
    """Replace NUL characters by U+FFFD. PostgreSQL cannot store NUL, and the write must not fail because of one."""
    return {
        name: value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
        for name, value in values.items()
    }


def settlement_values(settlement: SettlementInput, snapshot: Snapshot) -> Values:
    """Return the row of a settlement as of one snapshot, without the audit. Each call takes another salt."""
    values = _accepted_values(settlement) | {"salt": new_salt()}
    return {
        **values,
        "acceptance_hash": hash_of_acceptance(values),
        **asdict(Head()),
        **snapshot_values(snapshot),
    }


def _accepted_values(settlement: SettlementInput) -> Values:
    adjust = settlement.adjust
    return {
        "settlement_id": settlement.settlement_id,
        "request_unique_no": adjust.requestUniqueNo,
        "input": settlement.model_dump(mode="json"),
        "order_id": adjust.orderId,
        "user_name": adjust.userName,
        "company_id": settlement.company_id,
        "client": settlement.submitted_by and settlement.submitted_by.client,
        "key_id": settlement.submitted_by and settlement.submitted_by.key_id,
        "system": settlement.system,
        "currency": adjust.currency,
        "amount": adjust.amount,
        "accepted_at": settlement.accepted_at,
    }


def snapshot_values(snapshot: Snapshot) -> Values:
    """Return the columns that change during the settlement."""
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
            "cancel_intents": [action.model_dump(mode="json") for action in snapshot.cancel_intents],
            "proposal": snapshot.proposal and snapshot.proposal.model_dump(mode="json"),
        }
    )
    if snapshot.calls or not snapshot.left_out.calls:  # else the ledger already has the last call
        values["last_rule"] = snapshot.calls[-1].verdict.rule.value if snapshot.calls else None
    return values


def is_in_doubt(snapshot: Snapshot) -> bool:
    """Return whether the external system may hold the amount although the order is void.

    True in ABORTED, and in CANCELLING after an adjust that was not REJECTED.
    """
    if snapshot.state is State.ABORTED:
        return True
    rejected = snapshot.adjust is not None and snapshot.adjust.outcome is Outcome.REJECTED
    return snapshot.state is State.CANCELLING and not rejected


def call_values(settlement_id: SettlementId, snapshot: Snapshot) -> list[Values]:
    """Return a row for each call in a snapshot. Positions count from 0 in the whole audit."""
    return [
        _storable(
            {
                "settlement_id": settlement_id,
                "position": position,
                **call.model_dump(exclude={"verdict"}, by_alias=False),
                **call.verdict.model_dump(exclude={"reply"}, by_alias=False),
                **(call.verdict.reply.model_dump(by_alias=False) if call.verdict.reply else _NO_REPLY),
            }
        )
        for position, call in enumerate(snapshot.calls, start=snapshot.left_out.calls)
    ]


def action_values(settlement_id: SettlementId, snapshot: Snapshot) -> list[Values]:
    """Return a row for each operator action in a snapshot. Positions count from 0 in the whole audit."""
    return [
        _storable({"settlement_id": settlement_id, "position": position, **action.model_dump(by_alias=False)})
        for position, action in enumerate(snapshot.actions, start=snapshot.left_out.actions)
    ]


def state_change_values(settlement_id: SettlementId, snapshot: Snapshot) -> list[Values]:
    """Return a row for each state change in a snapshot. Positions count from 1 and are the event ids."""
    return [
        _storable({"settlement_id": settlement_id, "position": position, **change.model_dump(by_alias=False)})
        for position, change in enumerate(snapshot.state_changes, start=snapshot.left_out.state_changes + 1)
    ]


def to_input(row: Row[Any]) -> SettlementInput:
    """Return the accepted order of a row."""
    return SettlementInput.model_validate(row.input)


def to_snapshot(
    row: Row[Any], calls: Sequence[Row[Any]], actions: Sequence[Row[Any]], changes: Sequence[Row[Any]]
) -> Snapshot:
    """Return the last recorded snapshot from a settlement's row and the rows of its audit."""
    return Snapshot(
        version=row.version,
        state=State(row.state),
        decision=row.decision and Decision(row.decision),
        cancel_result=row.cancel_result and CancelResult(row.cancel_result),
        reason=row.reason,
        decided_at=row.decided_at,
        updated_at=row.updated_at,
        calls=tuple(_to_call(_fields(call)) for call in calls),
        actions=tuple(OperatorAction.model_validate(_fields(action)) for action in actions),
        state_changes=tuple(StateChange.model_validate(_fields(change)) for change in changes),
        cancel_intents=row.cancel_intents,
        proposal=row.proposal,
        left_out=_missing(calls, actions, changes),
    )


def _missing(calls: Sequence[Row[Any]], actions: Sequence[Row[Any]], changes: Sequence[Row[Any]]) -> LeftOut:
    """Return the audit entries that the ledger lacks. It lacks some only of a long audit, after a restored backup."""
    missing_calls = calls[-1].position + 1 - len(calls) if calls else 0
    adjust = _to_call(_fields(calls[0])).verdict if missing_calls and calls[0].kind is None else None
    return LeftOut(
        calls=missing_calls,
        actions=actions[-1].position + 1 - len(actions) if actions else 0,
        state_changes=changes[-1].position - len(changes) if changes else 0,
        adjust=adjust,
    )


def _fields(row: Row[Any]) -> Values:
    return dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name


def _to_call(values: Values) -> CallRecord:
    reply = None if values["code"] is None else ReplyRecord.model_validate(values)
    return CallRecord.model_validate({**values, "verdict": Verdict.model_validate({**values, "reply": reply})})
