"""GET one settlement: its complete audit from the ledger alone, and 404 for an unknown or malformed number."""

from typing import Any

import pytest
from temporalio.client import Client

from contract.fields import is_unique_no
from settlement.audit_window import leave_out
from settlement.ids import CancelKind, cancel_unique_no
from settlement.snapshot import AuditCounts
from settlement.states import State
from tests.api.api_harness import QUICK_SETTINGS, SETTLEMENTS, ApiHarness, accept, open_api
from tests.api.snapshots import full_audit_snapshot, rejected_snapshot, snapshot_in
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.orders import order, settlement

ODD_NUMBERS = ["N", "7", "A._~:@+=-", "a:b@c+d=e", "N..", "N~", "9" * 48]


DEADLINE = {
    "outcome": "UNKNOWN",
    "rule": "DEADLINE",
    "detail": "",
    "httpStatus": None,
    "reply": None,
    "phase": None,
    "retryAfterS": None,
}
REPLY = {
    "bizCode": None,
    "code": "0",
    "msg": None,
    "tm": None,
    "trace": None,
    "msgParams": None,
    "data": None,
    "ok": None,
    "fail": None,
}
APPLIED = {**DEADLINE, "outcome": "APPLIED", "rule": "CODE_SUCCESS", "httpStatus": 200, "reply": REPLY}
NEVER_RECEIVED = {
    **APPLIED,
    "outcome": "REJECTED",
    "rule": "CODE_FAILURE",
    "reply": {**REPLY, "code": "US_0000002"},
}


def moment(second: int) -> str:
    """Return a time of `full_audit_snapshot`, in JSON."""
    return f"2026-01-05T09:30:0{second}.123456Z"


def call(second: int, number: str, verdict: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Return a call in JSON: by default, the first attempt of the first cancel."""
    return {
        "operation": "CANCEL_ADJUST",
        "kind": "FIRST",
        "requestUniqueNo": number,
        "round": 0,
        "attempt": 1,
        "sentAt": moment(second),
        "durationMs": 17,
        "verdict": verdict,
        "cancelResult": None,
        **changes,
    }


def act(second: int, kind: str, operator: str, note: str, reference: str | None) -> dict[str, Any]:
    """Return an operator action in JSON."""
    return {
        "kind": kind,
        "operator": operator,
        "reasonCode": None,
        "note": note,
        "brokerReference": reference,
        "batchId": None,
        "proposalNo": None,
        "keyId": None,
        "at": moment(second),
    }


async def test_the_resource_shows_the_complete_audit(api_without_temporal: ApiHarness) -> None:
    """Every call with its time, duration, reply and rule, and every operator action with its reason."""
    accepted = settlement(metadata='{"note":"vip"}')
    number = await accept(api_without_temporal.ledger, accepted, full_audit_snapshot(accepted))
    first, confirming = (cancel_unique_no(number, kind) for kind in CancelKind)

    answer = await api_without_temporal.get(number)

    assert answer.status_code == 200
    assert answer.json() == {
        "requestUniqueNo": number,
        "state": "CANCELLED",
        "decision": "VOID",
        "cancelResult": "REVERSED",
        "cause": None,
        "reason": "consistent again: REVERSED",
        "trace": "trace-7",
        "companyId": 7,
        "submittedBy": {"client": "shop-7", "keyId": "0123456789abcdef"},
        "system": "default",
        "acceptedAt": accepted.accepted_at.isoformat().replace("+00:00", "Z"),
        "decidedAt": moment(1),
        "updatedAt": moment(7),
        "order": accepted.adjust.wire(),
        "brokerMessage": None,
        "calls": [
            call(0, number, DEADLINE, operation="ADJUST", kind=None, durationMs=3001),
            call(1, first, DEADLINE, durationMs=None),
            call(4, first, NEVER_RECEIVED, round=1, attempt=2, cancelResult="NEVER_RECEIVED"),
            call(6, confirming, APPLIED, kind="CONFIRMING", cancelResult="REVERSED"),
        ],
        "operatorActions": [
            act(3, "RETRY_CANCEL_ADJUST", "night-shift", "broker is back", None),
            act(7, "RESOLVE", "day-shift", "by hand", "ticket 17"),
        ],
        "needsSecondOperator": False,
        "resolutionProposal": None,
        "stateChanges": [
            {"state": "CANCELLING", "at": moment(1), "reason": "adjust UNKNOWN (DEADLINE)"},
            {"state": "ABORTED", "at": moment(2), "reason": "FIRST cancel adjust ran out of attempts"},
        ],
        "auditComplete": True,
        "temporalUiUrl": f"http://ui.example:8233/namespaces/default/workflows/settlement:default:{number}",
    }


async def test_an_incomplete_audit_is_marked(api_without_temporal: ApiHarness) -> None:
    """After a restored backup: the workflow of a long audit has only the newest entries."""
    accepted = settlement()
    known = lost.aborted(accepted)
    number = await accept(api_without_temporal.ledger, accepted, leave_out(known, AuditCounts(calls=2)))
    answer = (await api_without_temporal.get(number)).json()
    assert answer["auditComplete"] is False
    assert len(answer["calls"]) == len(known.calls) - 2


async def test_a_rejection_is_shown_in_full_and_as_a_message(api_without_temporal: ApiHarness) -> None:
    accepted = settlement()
    answer = (
        await api_without_temporal.get(await accept(api_without_temporal.ledger, accepted, rejected_snapshot(accepted)))
    ).json()
    assert answer["brokerMessage"] == {
        "code": "E17",
        "message": "no credit: {0} of {1}",
        "params": ["12.50", "10.00"],
        "text": "no credit: 12.50 of 10.00",
    }
    assert answer["calls"][0]["verdict"]["reply"] == {
        "bizCode": "PAY",
        "code": "E17",
        "msg": "no credit: {0} of {1}",
        "tm": 12,
        "trace": "trace-7",
        "msgParams": "12.50,10.00",
        "data": '{"limit": 10.00}',
        "ok": False,
        "fail": True,
    }


@pytest.mark.parametrize("state", State)
async def test_every_state_can_be_read_without_temporal(api_without_temporal: ApiHarness, state: State) -> None:
    accepted = settlement()
    snapshot = None if state is State.ADJUSTING else snapshot_in(accepted, state)
    answer = await api_without_temporal.get(await accept(api_without_temporal.ledger, accepted, snapshot))
    assert (answer.status_code, answer.json()["state"]) == (200, state)


@pytest.mark.parametrize("number", ODD_NUMBERS)
async def test_location_works_for_every_number_that_a_post_accepts(
    api_without_temporal: ApiHarness, number: str
) -> None:
    await api_without_temporal.post(order(requestUniqueNo=number))
    conflict = await api_without_temporal.post(order(requestUniqueNo=number, orderId=1))
    answer = await api_without_temporal.http.get(conflict.headers["location"])
    assert (answer.status_code, answer.json()["requestUniqueNo"]) == (200, number)
    assert is_unique_no(number)


@pytest.mark.parametrize("number", ["never-used", "no", "N" * 48, "CA1-0"])
async def test_unknown_number_is_not_found(api_without_temporal: ApiHarness, number: str) -> None:
    answer = await api_without_temporal.get(number)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize("number", ["n-1", "N-1 ", "N-1%00", "N-1%0a", " N-1", "N-1%20", "%4E-1%2520"])
async def test_numbers_are_compared_exactly(api_without_temporal: ApiHarness, number: str) -> None:
    """No trimming and no case folding: another spelling is another number."""
    await api_without_temporal.post(order(requestUniqueNo="N-1"))
    assert (await api_without_temporal.get(number)).status_code == 404


async def test_an_empty_number_is_not_found_and_never_returns_the_list(api_without_temporal: ApiHarness) -> None:
    """A caller with an empty number must not get the settlements of other customers."""
    answer = await api_without_temporal.get("")
    assert (answer.status_code, answer.headers.get("location")) == (404, None)


@pytest.mark.parametrize(
    ("number", "encoded"),
    [("A._~:@+=-", "A._~:%40%2B%3D-"), ("N-1", "N-1"), ("7", "7")],
)
async def test_link_to_the_temporal_ui_is_encoded(api_without_temporal: ApiHarness, number: str, encoded: str) -> None:
    await api_without_temporal.post(order(requestUniqueNo=number))
    link = (await api_without_temporal.get(number)).json()["temporalUiUrl"]
    assert link == f"http://ui.example:8233/namespaces/default/workflows/settlement:default:{encoded}"


async def test_link_is_null_where_no_ui_is_configured(ledger: FlakyLedger, dead_temporal: Client) -> None:
    settings = QUICK_SETTINGS.model_copy(update={"temporal_ui_url": None})
    async with open_api(ledger, dead_temporal, settings) as api:
        answer = await api.get(await accept(ledger, settlement()))
    assert answer.json()["temporalUiUrl"] is None


async def test_text_is_returned_unchanged(api_without_temporal: ApiHarness) -> None:
    body = order(userName="\u7528\u6237 \U0001f600", thirdServerCode="<b>&amp;</b>", amount="0.10", amountDigits=18)
    await api_without_temporal.post(body)
    read = (await api_without_temporal.http.get(f"{SETTLEMENTS}/{body['requestUniqueNo']}")).json()
    assert read["order"] == {**body, "metadata": None}


async def test_largest_numbers_come_back_exactly(api_without_temporal: ApiHarness) -> None:
    """Beyond 2^53 a float would lose the last digits."""
    body = order(orderId=2**63 - 1, amount="9" * 21 + "." + "9" * 18, amountDigits=18)
    await api_without_temporal.post(body, companyId=str(-(2**63)))
    read = (await api_without_temporal.get(body["requestUniqueNo"])).json()
    assert (read["order"]["orderId"], read["order"]["amount"]) == (body["orderId"], body["amount"])
    assert read["companyId"] == -(2**63)
