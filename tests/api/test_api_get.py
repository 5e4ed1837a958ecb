"""GET one settlement: the whole audit from the ledger alone, and 404 for whatever cannot be a number."""

from typing import Any

import pytest
from temporalio.client import Client

from contract.fields import is_unique_no
from settlement.audit_window import leave_out
from settlement.ids import CancelKind, cancel_unique_no
from settlement.snapshot import AuditCounts
from settlement.states import State
from tests.api.doors import QUICK_SETTINGS, SETTLEMENTS, Door, accept, open_door
from tests.api.snapshots import long_story, rejected, stands
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
    """Return a moment of the long story as JSON has it."""
    return f"2026-01-05T09:30:0{second}.123456Z"


def call(second: int, number: str, verdict: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Return a call as JSON has it: the first cancel's first attempt, unless said otherwise."""
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
    """Return an act as JSON has it."""
    return {
        "kind": kind,
        "operator": operator,
        "reasonCode": None,
        "note": note,
        "brokerReference": reference,
        "batchId": None,
        "at": moment(second),
    }


async def test_everything_that_is_known_is_shown(closed_door: Door) -> None:
    """Who was called when, how long it took, what came back, why it was classed so, and who acted on what grounds."""
    accepted = settlement(metadata='{"note":"vip"}')
    number = await accept(closed_door.ledger, accepted, long_story(accepted))
    first, confirming = (cancel_unique_no(number, kind) for kind in CancelKind)

    answer = await closed_door.get(number)

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
        "stateChanges": [
            {"state": "CANCELLING", "at": moment(1), "reason": "adjust UNKNOWN (DEADLINE)"},
            {"state": "ABORTED", "at": moment(2), "reason": "FIRST cancel adjust ran out of attempts"},
        ],
        "auditComplete": True,
        "temporalUiUrl": f"http://ui.example:8233/namespaces/default/workflows/settlement-{number}",
    }


async def test_an_audit_that_lacks_entries_says_so(closed_door: Door) -> None:
    """A backup of the ledger was restored, and the workflow of a long audit has only the newest entries."""
    accepted = settlement()
    known = lost.aborted(accepted)
    number = await accept(closed_door.ledger, accepted, leave_out(known, AuditCounts(calls=2)))
    answer = (await closed_door.get(number)).json()
    assert answer["auditComplete"] is False
    assert len(answer["calls"]) == len(known.calls) - 2


async def test_a_rejection_is_shown_whole_and_as_a_message(closed_door: Door) -> None:
    accepted = settlement()
    answer = (await closed_door.get(await accept(closed_door.ledger, accepted, rejected(accepted)))).json()
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
async def test_every_state_can_be_read_without_temporal(closed_door: Door, state: State) -> None:
    accepted = settlement()
    snapshot = None if state is State.ADJUSTING else stands(accepted, state)
    answer = await closed_door.get(await accept(closed_door.ledger, accepted, snapshot))
    assert (answer.status_code, answer.json()["state"]) == (200, state)


@pytest.mark.parametrize("number", ODD_NUMBERS)
async def test_location_leads_to_every_number_that_a_post_accepts(closed_door: Door, number: str) -> None:
    await closed_door.post(order(requestUniqueNo=number))
    conflict = await closed_door.post(order(requestUniqueNo=number, orderId=1))
    answer = await closed_door.http.get(conflict.headers["location"])
    assert (answer.status_code, answer.json()["requestUniqueNo"]) == (200, number)
    assert is_unique_no(number)


@pytest.mark.parametrize("number", ["never-used", "no", "N" * 48, "CA1-0"])
async def test_unknown_number_is_not_found(closed_door: Door, number: str) -> None:
    answer = await closed_door.get(number)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize("number", ["n-1", "N-1 ", "N-1%00", "N-1%0a", " N-1", "N-1%20", "%4E-1%2520"])
async def test_number_is_taken_exactly(closed_door: Door, number: str) -> None:
    """No trimming, no folding of case: another spelling is another number."""
    await closed_door.post(order(requestUniqueNo="N-1"))
    assert (await closed_door.get(number)).status_code == 404


async def test_empty_number_is_not_found_and_never_the_list(closed_door: Door) -> None:
    """A caller whose number is missing must not be shown, or led to, other customers' settlements."""
    answer = await closed_door.get("")
    assert (answer.status_code, answer.headers.get("location")) == (404, None)


@pytest.mark.parametrize(
    ("number", "encoded"),
    [("A._~:@+=-", "A._~%3A%40%2B%3D-"), ("N-1", "N-1"), ("7", "7")],
)
async def test_link_to_the_temporal_ui_is_encoded(closed_door: Door, number: str, encoded: str) -> None:
    await closed_door.post(order(requestUniqueNo=number))
    link = (await closed_door.get(number)).json()["temporalUiUrl"]
    assert link == f"http://ui.example:8233/namespaces/default/workflows/settlement-{encoded}"


async def test_link_is_null_where_no_ui_is_configured(ledger: FlakyLedger, dead_temporal: Client) -> None:
    settings = QUICK_SETTINGS.model_copy(update={"temporal_ui_url": None})
    async with open_door(ledger, dead_temporal, settings) as door:
        answer = await door.get(await accept(ledger, settlement()))
    assert answer.json()["temporalUiUrl"] is None


async def test_text_comes_back_as_it_was_sent(closed_door: Door) -> None:
    body = order(userName="\u7528\u6237 \U0001f600", thirdServerCode="<b>&amp;</b>", amount="0.10", amountDigits=18)
    await closed_door.post(body)
    read = (await closed_door.http.get(f"{SETTLEMENTS}/{body['requestUniqueNo']}")).json()
    assert read["order"] == {**body, "metadata": None}


async def test_largest_numbers_come_back_exactly(closed_door: Door) -> None:
    """Beyond 2^53 a float would lose the last digits."""
    body = order(orderId=2**63 - 1, amount="9" * 21 + "." + "9" * 18, amountDigits=18)
    await closed_door.post(body, companyId=str(-(2**63)))
    read = (await closed_door.get(body["requestUniqueNo"])).json()
    assert (read["order"]["orderId"], read["order"]["amount"]) == (body["orderId"], body["amount"])
    assert read["companyId"] == -(2**63)
