"""Every fault over a real connection: what the client sees, what the books contain, how the request ended."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from contract.operations import ExternalReply
from simulator.faults import ADJUST_BEHAVIOURS, CANCEL_BEHAVIOURS, AdjustFault, CancelFault
from simulator.payloads import OVERSIZED_BYTES
from simulator.server import serving
from simulator.service import SimulatorSettings

CANCEL_PATH = "/get-user-amount"
OPERATION_PATH = "/global/tradeapi.app.OrderApiService.queryPBOOrderPage"
NO_REPLY_TIMEOUT_S = 0.3
LIMIT_S = 10.0
GUIDE = Path(__file__).parents[3] / "docs" / "simulator.md"

Maker = Callable[..., dict[str, Any]]
View = Callable[[], dict[str, Any]]
Calls = Callable[[int], list[dict[str, Any]]]

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
}


def observe(client: httpx2.Client, path: str, body: dict[str, Any], timeout_s: float = LIMIT_S) -> str:
    """Post the body and return in short what a careful client concludes from the reply."""
    try:
        response = client.post(path, json=body, timeout=timeout_s)
    except httpx2.TransportError as error:
        return type(error).__name__
    if response.status_code != httpx2.codes.OK:
        return f"HTTP {response.status_code}"
    try:
        reply = ExternalReply.model_validate_json(response.content)
    except ValueError:
        return "unreadable"
    if reply.trace not in {None, response.request.headers["trace"]}:
        return "another trace"
    return f"code {reply.code}" if reply.is_consistent() else "contradictory"


def expect_no_reply(client: httpx2.Client, path: str, body: dict[str, Any]) -> None:
    """Post a body that is never answered; give up after 0.3 s."""
    assert observe(client, path, body, NO_REPLY_TIMEOUT_S) == "ReadTimeout"


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


def test_cancel_fault_without_times_never_ends(client: httpx2.Client, adjust_body: Maker, cancel_body: Maker) -> None:
    client.post("/", json=adjust_body({"cancel": "fail"}))
    seen = {observe(client, CANCEL_PATH, cancel_body(own)) for own in "11122"}
    assert seen == {"HTTP 500"}


def test_cancel_fault_is_read_from_the_cancel_if_the_adjust_was_never_received(
    client: httpx2.Client, cancel_body: Maker
) -> None:
    cancel = cancel_body(simulate={"adjust": "never_received", "cancel": "error_code", "times": 2})
    seen = [observe(client, CANCEL_PATH, cancel) for _ in range(3)]
    assert seen == ["code US_0000503", "code US_0000503", "code US_0000002"]


def test_cancel_fault_of_an_adjust_that_was_never_received_is_ignored(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker
) -> None:
    """Neither the adjust nor the fault in its metadata is recorded."""
    expect_no_reply(client, "/", adjust_body({"adjust": "never_received", "cancel": "fail"}))
    assert observe(client, CANCEL_PATH, cancel_body()) == "code US_0000002"


def test_cancel_fault_applies_to_the_deprecated_operation_too(
    client: httpx2.Client, adjust_body: Maker, number: str
) -> None:
    client.post("/", json=adjust_body({"cancel": "fail", "times": 1}))
    body = {
        "username": "user-1",
        "tx_reverse_id": number,
        "reverse_type": 1,
        "txid": f"T-{number}",
        "requesttime": 1_760_000_003_000,
        "ip": "203.0.113.7",
        "cancel_remark": "no reply",
    }
    assert [observe(client, OPERATION_PATH, body) for _ in range(2)] == ["HTTP 500", "code 0"]


@pytest.mark.parametrize(
    "case", [("land_late", "NOT_APPLIED", "code US_0000001"), ("land_late_unguarded", "APPLIED", "code 0")]
)
def test_delayed_adjust_after_its_cancel(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker, number_view: View, case: tuple[str, str, str]
) -> None:
    """If the broker does not burn numbers, only a confirming cancel under a second number reverses the adjust."""
    fault, final_state, confirming = case
    expect_no_reply(client, "/", adjust_body({"adjust": fault, "seconds": 1.0}))
    assert observe(client, CANCEL_PATH, cancel_body("1")) == "code US_0000002"
    assert number_view()["state"] == "BURNT"
    deadline = time.monotonic() + LIMIT_S
    while number_view()["landingDueAtNs"] is not None:
        assert time.monotonic() < deadline
    assert number_view()["state"] == final_state
    assert observe(client, CANCEL_PATH, cancel_body("1")) == "code US_0000002"
    assert observe(client, CANCEL_PATH, cancel_body("2")) == confirming
    view = number_view()
    assert view["timesApplied"] == view["timesReversed"] == (1 if confirming == "code 0" else 0)


def test_delayed_adjust_is_applied_if_it_is_not_cancelled(
    client: httpx2.Client, adjust_body: Maker, number_view: View
) -> None:
    expect_no_reply(client, "/", adjust_body({"adjust": "land_late", "seconds": 0.1}))
    deadline = time.monotonic() + LIMIT_S
    while number_view()["state"] != "APPLIED":
        assert time.monotonic() < deadline


def test_journal_records_when_the_client_disconnected(
    client: httpx2.Client, adjust_body: Maker, ended_calls: Calls
) -> None:
    """The recorded time runs from the first byte received to the end of the connection."""
    expect_no_reply(client, "/", adjust_body({"adjust": "hang"}))
    call = ended_calls(1)[0]
    assert 0.2e9 < call["endedAtNs"] - call["receivedAtNs"] < 1e9


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


def test_late_reply_is_sent_after_the_given_seconds(
    client: httpx2.Client, adjust_body: Maker, ended_calls: Calls
) -> None:
    reply = client.post("/", json=adjust_body({"adjust": "late", "seconds": 0.2})).json()
    call = ended_calls(1)[0]
    assert reply["tm"] >= 200
    assert call["endedAtNs"] - call["receivedAtNs"] >= 0.2e9


def test_drip_defeats_a_timeout_for_each_read(url: str, adjust_body: Maker) -> None:
    """One byte arrives every 0.5 s, so a timeout of 1 s for each read never expires."""
    with httpx2.Client(base_url=url, timeout=1.0) as client:
        headers = {"trace": "t", "timestamp": "1760000000000"}
        request = client.build_request("POST", "/", json=adjust_body({"adjust": "drip"}), headers=headers)
        response = client.send(request, stream=True)
        started = time.monotonic()
        chunks = response.iter_raw()
        first = [next(chunks) for _ in range(3)]
        response.close()
    assert b"".join(first) == b'{"b'
    assert time.monotonic() - started > 0.9


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


def test_reused_number_is_refused_even_if_the_request_asks_for_a_fault(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker
) -> None:
    """The request changes nothing: its cancel fault is not stored either."""
    client.post("/", json=adjust_body())
    assert observe(client, "/", adjust_body({"adjust": "hang", "cancel": "fail"}, orderId=8)) == "code US_0000409"
    assert observe(client, "/get-user-amount", cancel_body()) == "code 0"


@pytest.mark.parametrize(
    ("simulate", "named"),
    [
        ({"adjust": "explode"}, "metadata.simulate.adjust: Input should be 'reject', 'hang', "),
        ({"cancel": "explode"}, "metadata.simulate.cancel: Input should be 'fail', 'error_code', "),
        ({"times": 0}, "metadata.simulate.times: "),
        ({"seconds": -1}, "metadata.simulate.seconds: "),
        ({"until": 3}, "metadata.simulate.until: Extra inputs are not permitted"),
    ],
)
def test_unknown_fault_is_refused_by_name(
    client: httpx2.Client, adjust_body: Maker, number_view: View, simulate: dict[str, Any], named: str
) -> None:
    reply = client.post("/", json=adjust_body(simulate)).json()
    assert reply["code"] == "US_0000400"
    assert named in reply["msg"]
    assert number_view()["state"] == "NEVER_RECEIVED"


@pytest.mark.parametrize("metadata", ['{"note": "vip"}', "[1]", "null", "3", '"simulate"'])
def test_metadata_without_a_fault_is_ignored(client: httpx2.Client, adjust_body: Maker, metadata: str) -> None:
    assert observe(client, "/", adjust_body(metadata=metadata)) == "code 0"


def test_request_is_held_open_for_a_bounded_time(adjust_body: Maker) -> None:
    """A client without a timeout gets a reset."""
    with serving(SimulatorSettings(hold_max_s=0.2)) as url, httpx2.Client(base_url=url, timeout=5) as http:
        http.headers.update({"trace": "t", "timestamp": "1760000000000"})
        assert observe(http, "/", adjust_body({"adjust": "hang"})) == "ReadError"
        assert http.get("/simulator/calls").json()["calls"][0]["ended"] == "timed_out"


def test_every_fault_is_implemented_and_documented() -> None:
    """Each allowed value has a behaviour and a line in the guide, and each reply code is in the guide."""
    assert (set(ADJUST_BEHAVIOURS), set(CANCEL_BEHAVIOURS)) == (set(AdjustFault), set(CancelFault))
    adjust_part, _, cancel_part = GUIDE.read_text().partition("### Faults of a cancel")
    assert {f for f in AdjustFault if f"| `{f}` |" in adjust_part} == set(AdjustFault)
    assert {f for f in CancelFault if f"| `{f}` |" in cancel_part} == set(CancelFault)
    codes = set(re.findall(r"US_[0-9]{7}", (GUIDE.parents[1] / "simulator" / "replies.py").read_text()))
    assert codes <= set(re.findall(r"US_[0-9]{7}", GUIDE.read_text()))
