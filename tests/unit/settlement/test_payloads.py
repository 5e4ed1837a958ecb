"""Payloads and records: camelCase in JSON, immutable, compatible with older code, bounded."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from contract.adjust import AdjustBody
from contract.operations import Operation
from settlement.calls import CallRecord, Rule, Verdict
from settlement.ids import CancelKind, SettlementId
from settlement.operator_rules import ResolveRequest, ResolveRules, RetryRequest, RetryRules
from settlement.policy import SettlementPolicy
from settlement.reply_record import ReplyRecord
from settlement.snapshot import ActionKind, OperatorAction, OperatorRequest, Snapshot
from settlement.start import SettlementInput
from settlement.states import CancelResult, Decision, Outcome, State
from settlement.tasks import CancelReport, RecordTask
from tests.unit.contract.wire_bodies import ADJUST, refusals

NOW = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)
POLICY: dict[str, Any] = {
    "cancelMaxAttempts": 5,
    "cancelInitialIntervalS": 1.0,
    "cancelMaxIntervalS": 60.0,
    "confirmAfterS": 30.0,
    "expireAfterS": 60.0,
}
CALL = CallRecord(
    operation=Operation.CANCEL_ADJUST,
    kind=CancelKind.CONFIRMING,
    request_unique_no="CA2-1",
    round=1,
    attempt=2,
    sent_at=NOW,
    duration_ms=12,
    verdict=Verdict(
        outcome=Outcome.REJECTED, rule=Rule.CODE_FAILURE, http_status=200, reply=ReplyRecord(code="US_0000001")
    ),
    cancel_result=CancelResult.NOT_APPLIED,
)
RECORD = RecordTask(
    settlement_id=SettlementId("alpha", "n-1"),
    since_version=0,
    settlement=SettlementInput(
        adjust=AdjustBody.model_validate({**ADJUST, "amount": "12.50", "orderId": 2**63 - 1}),
        trace="t-1",
        accepted_at=NOW,
        policy=SettlementPolicy.model_validate(POLICY),
    ),
    snapshot=Snapshot(
        version=3,
        state=State.CANCELLED,
        decision=Decision.VOID,
        cancel_result=CancelResult.NOT_APPLIED,
        updated_at=NOW,
        calls=(CALL,),
        actions=(OperatorAction(kind=ActionKind.RETRY_CANCEL_ADJUST, operator="op-1", note="broker is back", at=NOW),),
    ),
)


def field_names(value: object) -> set[str]:
    """Return every field name in a JSON value."""
    if isinstance(value, dict):
        return set(value).union(*map(field_names, value.values()))
    return set().union(*map(field_names, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("model", [RECORD, CALL, CancelReport(result=CancelResult.REVERSED, calls=(CALL,))])
def test_a_payload_is_read_back_unchanged(model: BaseModel) -> None:
    """Times to the microsecond, int64 exactly, amounts character by character."""
    assert type(model).model_validate_json(model.model_dump_json()) == model


def test_all_json_names_are_camel_case() -> None:
    assert not {name for name in field_names(RECORD.model_dump(mode="json")) if "_" in name}


def test_an_unknown_field_is_ignored() -> None:
    """An older worker must be able to continue a settlement that a newer one wrote."""
    text = RECORD.model_dump_json().replace('{"', '{"fromTomorrow":{"x":1},"')
    assert RecordTask.model_validate_json(text) == RECORD


@pytest.mark.parametrize("field", ["state", "version"])
def test_a_snapshot_is_immutable(field: str) -> None:
    with pytest.raises(ValidationError):
        setattr(RECORD.snapshot, field, None)


def test_a_policy_in_a_history_is_read_without_todays_bounds() -> None:
    """A tightened bound must not stop the compensation of an open settlement."""
    assert refusals(SettlementPolicy, {**POLICY, "cancelMaxAttempts": 1_000}) == {}


def test_a_recorded_action_is_read_without_todays_rules() -> None:
    assert refusals(OperatorRequest, {"operator": "", "reasonCode": "no word of ours", "note": "\0" * 10_000}) == {}


RETRY = {"reasonCode": "BROKER_RECOVERED", "note": "broker is back"}
RESOLVE = {"reasonCode": "REVERSED_BY_BROKER", "note": "settled by phone", "brokerReference": "ticket 17"}


def test_a_retry_needs_a_reason() -> None:
    assert refusals(RetryRequest, {}) == {"reasonCode": "Field required", "note": "Field required"}
    assert refusals(RetryRequest, {**RETRY, "note": "r" * 500}) == {}
    assert set(refusals(RetryRequest, {"reasonCode": "", "note": ""})) == {"reasonCode", "note"}
    assert set(refusals(RetryRequest, {**RETRY, "note": "r" * 501})) == {"note"}
    assert set(refusals(RetryRequest, {**RETRY, "note": "r\0"})) == {"note"}


def test_the_operator_is_not_part_of_the_request_body() -> None:
    assert set(refusals(RetryRequest, {**RETRY, "operator": "somebody"})) == {"operator"}
    assert set(refusals(ResolveRequest, {**RESOLVE, "operator": "somebody"})) == {"operator"}


def test_an_update_needs_an_operator() -> None:
    for rules, order in ((RetryRules, RETRY), (ResolveRules, RESOLVE)):
        assert refusals(rules, {**order, "operator": "o" * 64}) == {}
        for operator in ("", "o" * 65, "o\0"):
            assert set(refusals(rules, {**order, "operator": operator})) == {"operator"}


def test_resolving_needs_a_reference() -> None:
    bare = {name: value for name, value in RESOLVE.items() if name != "brokerReference"}
    assert refusals(ResolveRequest, bare) == {"brokerReference": "Field required"}
    assert set(refusals(ResolveRequest, {**bare, "brokerReference": ""})) == {"brokerReference"}
    assert refusals(ResolveRequest, RESOLVE) == {}
