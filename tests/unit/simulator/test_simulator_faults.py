"""Every fault over a real connection: what the client sees, what the books contain, how the request ended."""

import re
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from connector.retry_after import retry_after_s
from simulator.faults import ADJUST_BEHAVIOURS, CANCEL_BEHAVIOURS, AdjustFault, CancelFault
from simulator.payloads import OVERSIZED_BYTES
from tests.unit.simulator.conftest import CANCEL_PATH, LIMIT_S, Calls, Maker, View
from tests.unit.simulator.observation import NO_REPLY_TIMEOUT_S, observe

GUIDE = Path(__file__).parents[3] / "docs" / "simulator.md"

# For each adjust fault: what the client sees, the state in the books, and how the journal says the request ended.
SEEN: dict[AdjustFault, tuple[str, str, str]] = {
    AdjustFault.REJECT: ("code US_0000402", "NOT_APPLIED", "replied"),
    AdjustFault.HANG: ("ReadTimeout", "NOT_APPLIED", "client_disconnected"),
    AdjustFault.HANG_APPLIED: ("ReadTimeout", "APPLIED", "client_disconnected"),
    AdjustFault.NEVER_RECEIVED: ("ReadTimeout", "NEVER_RECEIVED", "client_disconnected"),
    AdjustFault.LATE: ("code 0", "APPLIED", "replied"),
    AdjustFault.LAND_LATE: ("ReadTimeout", "NEVER_RECEIVED", "client_disconnected"),
    AdjustFault.LAND_LATE_UNGUARDED: ("ReadTimeout", "NEVER_RECEIVED", "client_disconnected"),
    AdjustFault.DRIP: ("ReadTimeout", "APPLIED", "client_disconnected"),
    AdjustFault.HTTP_500: ("HTTP 500", "NOT_APPLIED", "replied"),
    AdjustFault.HTTP_500_APPLIED: ("HTTP 500", "APPLIED", "replied"),
    AdjustFault.NOT_JSON: ("unreadable", "APPLIED", "replied"),
    AdjustFault.HTML_PAGE: ("unreadable", "APPLIED", "replied"),
    AdjustFault.CONTRADICTORY: ("contradictory", "APPLIED", "replied"),
    AdjustFault.WRONG_TYPE: ("unreadable", "APPLIED", "replied"),
    AdjustFault.OVERSIZED: ("code 0", "APPLIED", "replied"),
    AdjustFault.RESET: ("ReadError", "NOT_APPLIED", "reset"),
    AdjustFault.RESET_APPLIED: ("ReadError", "APPLIED", "reset"),
    AdjustFault.CUT: ("RemoteProtocolError", "APPLIED", "cut"),
    AdjustFault.REDIRECT: ("HTTP 302", "NOT_APPLIED", "replied"),
    AdjustFault.WRONG_TRACE: ("another trace", "APPLIED", "replied"),
    AdjustFault.CONSTANT_TRACE: ("another trace", "APPLIED", "replied"),
    AdjustFault.NO_TRACE: ("code 0", "APPLIED", "replied"),
    AdjustFault.BYTE_ORDER_MARK: ("unreadable", "APPLIED", "replied"),
    AdjustFault.LIST_DATA: ("code 0", "APPLIED", "replied"),
    AdjustFault.REJECT_400: ("HTTP 400", "NOT_APPLIED", "replied"),
    AdjustFault.REJECT_409: ("HTTP 409", "NOT_APPLIED", "replied"),
    AdjustFault.BUSY: ("HTTP 429", "NOT_APPLIED", "replied"),
}

# For each cancel fault: what the client sees, and the state of the applied adjust after it.
CANCEL_SEEN: dict[CancelFault, tuple[str, str]] = {
    CancelFault.FAIL: ("HTTP 500", "APPLIED"),
    CancelFault.ERROR_CODE: ("code US_0000503", "APPLIED"),
    CancelFault.HANG: ("ReadTimeout", "APPLIED"),
    CancelFault.NOT_JSON: ("unreadable", "APPLIED"),
    CancelFault.CONTRADICTORY: ("contradictory", "APPLIED"),
    CancelFault.RESET: ("ReadError", "APPLIED"),
    CancelFault.DONE_BUT_LOST: ("ReadTimeout", "REVERSED"),
    CancelFault.DONE_BUT_RESET: ("ReadError", "REVERSED"),
    CancelFault.NOT_REVERSED: ("code 0", "APPLIED"),
    CancelFault.REVERSED_TWICE: ("code 0", "REVERSED"),
    CancelFault.WRONG_TRACE: ("another trace", "REVERSED"),
    CancelFault.CONSTANT_TRACE: ("another trace", "REVERSED"),
    CancelFault.NO_TRACE: ("code 0", "REVERSED"),
    CancelFault.BYTE_ORDER_MARK: ("unreadable", "REVERSED"),
    CancelFault.LIST_DATA: ("code 0", "REVERSED"),
    CancelFault.OWN_CODE: ("code US_0000200", "REVERSED"),
    CancelFault.IN_PROCESS: ("code US_0000102", "APPLIED"),
    CancelFault.REFUSE: ("code US_0000410", "APPLIED"),
    CancelFault.HTTP_400: ("HTTP 400", "REVERSED"),
    CancelFault.HTTP_409: ("HTTP 409", "REVERSED"),
    CancelFault.BUSY: ("HTTP 429", "APPLIED"),
    CancelFault.UNAVAILABLE: ("HTTP 503", "APPLIED"),
}


@pytest.mark.parametrize("fault", AdjustFault)
def test_adjust_fault(
    client: httpx2.Client, adjust_body: Maker, number_view: View, ended_calls: Calls, fault: AdjustFault
) -> None:
    seen, state, ended = SEEN[fault]
    seconds = 0.1 if fault is AdjustFault.LATE else 60
    timeout_s = NO_REPLY_TIMEOUT_S if seen == "ReadTimeout" else LIMIT_S
    assert observe(client, "/", adjust_body({"adjust": fault, "seconds": seconds}), timeout_s) == seen
    assert number_view()["state"] == state
    call = ended_calls(1)[0]
    assert (call["ended"], call["fault"]) == (ended, f"adjust:{fault}")


@pytest.mark.parametrize("fault", CancelFault)
def test_cancel_fails_as_often_as_asked_and_then_succeeds(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker, number_view: View, fault: CancelFault
) -> None:
    """The count belongs to the adjust's number; after it, the same cancel reverses the adjust."""
    seen, state = CANCEL_SEEN[fault]
    assert observe(client, "/", adjust_body({"cancel": fault, "times": 1})) == "code 0"
    timeout_s = NO_REPLY_TIMEOUT_S if seen == "ReadTimeout" else LIMIT_S
    assert observe(client, CANCEL_PATH, cancel_body(), timeout_s) == seen
    assert number_view()["state"] == state
    assert observe(client, CANCEL_PATH, cancel_body()) == "code 0"
    view = number_view()
    assert (view["state"], view["timesReversed"]) == ("REVERSED", 2 if fault is CancelFault.REVERSED_TWICE else 1)


@pytest.mark.parametrize(
    ("fault", "trace"), [(None, "t-77"), ("wrong_trace", "not-t-77"), ("constant_trace", "0"), ("no_trace", None)]
)
def test_reply_has_the_trace_of_its_request_unless_a_fault_changes_it(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker, fault: str | None, trace: str | None
) -> None:
    faults = {"adjust": fault, "cancel": fault} if fault else None
    headers = {"trace": "t-77"}
    replies = [
        client.post("/", json=adjust_body(faults), headers=headers).json(),
        client.post(CANCEL_PATH, json=cancel_body(), headers=headers).json(),
    ]
    assert [reply.get("trace") for reply in replies] == [trace, trace]


@pytest.mark.parametrize("fault", ["busy", "unavailable"])
def test_retry_after_is_in_seconds_or_a_date(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker, fault: str
) -> None:
    client.post("/", json=adjust_body({"cancel": fault}))
    response = client.post(CANCEL_PATH, json=cancel_body())
    headers = response.headers
    # The date has whole seconds, so it can be one second nearer.
    expected = {5} if fault == "busy" else {4, 5, 6}
    assert retry_after_s(headers.get_list("retry-after"), headers.get("date"), datetime.now(UTC)) in expected


def test_oversized_reply_is_otherwise_correct(client: httpx2.Client, adjust_body: Maker) -> None:
    """Only its size is wrong."""
    response = client.post("/", json=adjust_body({"adjust": "oversized"}))
    assert len(response.content) > OVERSIZED_BYTES
    assert response.json()["ok"] is True


def test_client_that_follows_the_redirect_sees_a_false_success(
    client: httpx2.Client, adjust_body: Maker, number_view: View
) -> None:
    response = client.post("/", json=adjust_body({"adjust": "redirect"}), follow_redirects=True)
    assert (response.json()["code"], number_view()["state"]) == ("0", "NOT_APPLIED")


def test_every_fault_is_implemented_and_documented() -> None:
    """Each allowed value has a behaviour and a line in the guide, and each reply code is in the guide."""
    assert (set(ADJUST_BEHAVIOURS), set(CANCEL_BEHAVIOURS)) == (set(AdjustFault), set(CancelFault))
    adjust_part, _, cancel_part = GUIDE.read_text().partition("### Faults of a cancel")
    assert {f for f in AdjustFault if f"| `{f}` |" in adjust_part} == set(AdjustFault)
    assert {f for f in CancelFault if f"| `{f}` |" in cancel_part} == set(CancelFault)
    codes = set(re.findall(r"US_[0-9]{7}", (GUIDE.parents[1] / "simulator" / "replies.py").read_text()))
    assert codes <= set(re.findall(r"US_[0-9]{7}", GUIDE.read_text()))
