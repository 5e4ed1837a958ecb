"""Every fault over a real connection: what the client sees, what the books hold, how the call ended."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from contract.reply import ExternalReply
from simulator.faults import ADJUST_PLANS, CANCEL_PLANS, AdjustFault, CancelFault
from simulator.instance import SimulatorSettings
from simulator.payloads import OVERSIZED_BYTES
from simulator.server import serving

CANCEL_PATH = "/get-user-amount"
OPERATION_PATH = "/global/tradeapi.app.OrderApiService.queryPBOOrderPage"
SILENCE_S = 0.3
PATIENCE_S = 10.0
GUIDE = Path(__file__).parents[3] / "docs" / "simulator.md"

Maker = Callable[..., dict[str, Any]]
View = Callable[[], dict[str, Any]]
Calls = Callable[[int], list[dict[str, Any]]]

# What the client sees of each adjust fault, what the books hold, how the journal says it ended.
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

# What the client sees of each cancel fault, and what an applied adjust is after it.
CANCEL_SEEN: dict[CancelFault, tuple[str, str]] = {
    CancelFault.FAIL: ("HTTP 500", "APPLIED"),
    CancelFault.ERROR_CODE: ("code US_0000503", "APPLIED"),
    CancelFault.HANG: ("ReadTimeout", "APPLIED"),
    CancelFault.NOT_JSON: ("unreadable", "APPLIED"),
    CancelFault.CONTRADICTORY: ("contradictory", "APPLIED"),
    CancelFault.RESET: ("ReadError", "APPLIED"),
    CancelFault.DONE_BUT_LOST: ("ReadTimeout", "REVERSED"),
    CancelFault.DONE_BUT_RESET: ("ReadError", "REVERSED"),
    CancelFault.WRONG_TRACE: ("another trace", "REVERSED"),
    CancelFault.CONSTANT_TRACE: ("another trace", "REVERSED"),
    CancelFault.NO_TRACE: ("code 0", "REVERSED"),
    CancelFault.BYTE_ORDER_MARK: ("unreadable", "REVERSED"),
    CancelFault.LIST_DATA: ("code 0", "REVERSED"),
}


def sight(client: httpx2.Client, path: str, body: dict[str, Any], timeout_s: float = PATIENCE_S) -> str:
    """Post, and say in short what a careful client would make of what came back."""
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
    return f"code {reply.code}" if reply.agrees_with_itself() else "contradictory"


def silence(client: httpx2.Client, path: str, body: dict[str, Any]) -> None:
    """Post what is never answered, and give up on it after 0.3 s."""
    assert sight(client, path, body, SILENCE_S) == "ReadTimeout"


@pytest.mark.parametrize("fault", AdjustFault)
def test_adjust_fault(
    client: httpx2.Client, adjust_body: Maker, number_view: View, ended_calls: Calls, fault: AdjustFault
) -> None:
    seen, state, ended = SEEN[fault]
    seconds = 0.1 if fault is AdjustFault.LATE else 60
    timeout_s = SILENCE_S if seen == "ReadTimeout" else PATIENCE_S
    assert sight(client, "/", adjust_body({"adjust": fault, "seconds": seconds}), timeout_s) == seen
    assert number_view()["state"] == state
    call = ended_calls(1)[0]
    assert (call["ended"], call["fault"]) == (ended, f"adjust:{fault}")


@pytest.mark.parametrize("fault", CancelFault)
def test_cancel_fault_misbehaves_so_often_and_then_no_more(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker, number_view: View, fault: CancelFault
) -> None:
    """The count is kept with the adjust's number; after it, the very same cancel gives the amount back."""
    seen, state = CANCEL_SEEN[fault]
    assert sight(client, "/", adjust_body({"cancel": fault, "times": 1})) == "code 0"
    timeout_s = SILENCE_S if seen == "ReadTimeout" else PATIENCE_S
    assert sight(client, CANCEL_PATH, cancel_body(), timeout_s) == seen
    assert number_view()["state"] == state
    assert sight(client, CANCEL_PATH, cancel_body()) == "code 0"
    view = number_view()
    assert (view["state"], view["timesReversed"]) == ("REVERSED", 1)


def test_cancel_fault_without_times_never_ends(client: httpx2.Client, adjust_body: Maker, cancel_body: Maker) -> None:
    client.post("/", json=adjust_body({"cancel": "fail"}))
    seen = {sight(client, CANCEL_PATH, cancel_body(own)) for own in "11122"}
    assert seen == {"HTTP 500"}


def test_cancel_fault_is_read_from_the_cancel_when_the_adjust_never_came(
    client: httpx2.Client, cancel_body: Maker
) -> None:
    cancel = cancel_body(simulate={"adjust": "never_received", "cancel": "error_code", "times": 2})
    seen = [sight(client, CANCEL_PATH, cancel) for _ in range(3)]
    assert seen == ["code US_0000503", "code US_0000503", "code US_0000002"]


def test_cancel_fault_of_an_adjust_that_got_lost_is_not_known(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker
) -> None:
    """The books do not learn of a lost adjust, nor of what its metadata asked for."""
    silence(client, "/", adjust_body({"adjust": "never_received", "cancel": "fail"}))
    assert sight(client, CANCEL_PATH, cancel_body()) == "code US_0000002"


def test_cancel_fault_holds_for_the_deprecated_operation_too(
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
    assert [sight(client, OPERATION_PATH, body) for _ in range(2)] == ["HTTP 500", "code 0"]


@pytest.mark.parametrize(
    "case", [("land_late", "NOT_APPLIED", "code US_0000001"), ("land_late_unguarded", "APPLIED", "code 0")]
)
def test_late_landing_after_the_cancel(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker, number_view: View, case: tuple[str, str, str]
) -> None:
    """Only a confirming cancel, under a number of its own, catches what an unguarded broker lets land."""
    fault, after_landing, confirming = case
    silence(client, "/", adjust_body({"adjust": fault, "seconds": 1.0}))
    assert sight(client, CANCEL_PATH, cancel_body("1")) == "code US_0000002"
    assert number_view()["state"] == "BURNT"
    deadline = time.monotonic() + PATIENCE_S
    while number_view()["landingDueAtNs"] is not None:
        assert time.monotonic() < deadline
    assert number_view()["state"] == after_landing
    assert sight(client, CANCEL_PATH, cancel_body("1")) == "code US_0000002"
    assert sight(client, CANCEL_PATH, cancel_body("2")) == confirming
    view = number_view()
    assert view["timesApplied"] == view["timesReversed"] == (1 if confirming == "code 0" else 0)


def test_late_landing_takes_effect_when_nobody_cancels(
    client: httpx2.Client, adjust_body: Maker, number_view: View
) -> None:
    silence(client, "/", adjust_body({"adjust": "land_late", "seconds": 0.1}))
    deadline = time.monotonic() + PATIENCE_S
    while number_view()["state"] != "APPLIED":
        assert time.monotonic() < deadline


def test_journal_tells_when_the_client_left(client: httpx2.Client, adjust_body: Maker, ended_calls: Calls) -> None:
    """From the first bytes received to the connection's end, not from or to anything of the simulator's own."""
    silence(client, "/", adjust_body({"adjust": "hang"}))
    call = ended_calls(1)[0]
    assert 0.2e9 < call["endedAtNs"] - call["receivedAtNs"] < 1e9


@pytest.mark.parametrize(
    ("fault", "trace"), [(None, "t-77"), ("wrong_trace", "not-t-77"), ("constant_trace", "0"), ("no_trace", None)]
)
def test_trace_is_the_requests_unless_asked_otherwise(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker, fault: str | None, trace: str | None
) -> None:
    faults = {"adjust": fault, "cancel": fault} if fault else None
    headers = {"trace": "t-77"}
    replies = [
        client.post("/", json=adjust_body(faults), headers=headers).json(),
        client.post(CANCEL_PATH, json=cancel_body(), headers=headers).json(),
    ]
    assert [reply.get("trace") for reply in replies] == [trace, trace]


def test_late_reply_comes_when_it_was_asked_for(client: httpx2.Client, adjust_body: Maker, ended_calls: Calls) -> None:
    reply = client.post("/", json=adjust_body({"adjust": "late", "seconds": 0.2})).json()
    call = ended_calls(1)[0]
    assert reply["tm"] >= 200
    assert call["endedAtNs"] - call["receivedAtNs"] >= 0.2e9


def test_drip_outlives_a_client_that_only_limits_each_read(url: str, adjust_body: Maker) -> None:
    """The bytes keep coming 0.5 s apart, each inside a per-read timeout of 1 s."""
    with httpx2.Client(base_url=url, timeout=1.0) as patient:
        headers = {"trace": "t", "timestamp": "1760000000000"}
        request = patient.build_request("POST", "/", json=adjust_body({"adjust": "drip"}), headers=headers)
        response = patient.send(request, stream=True)
        started = time.monotonic()
        chunks = response.iter_raw()
        first = [next(chunks) for _ in range(3)]
        response.close()
    assert b"".join(first) == b'{"b'
    assert time.monotonic() - started > 0.9


def test_oversized_reply_is_a_reply_of_table_4(client: httpx2.Client, adjust_body: Maker) -> None:
    """Only its size is wrong."""
    response = client.post("/", json=adjust_body({"adjust": "oversized"}))
    assert len(response.content) > OVERSIZED_BYTES
    assert response.json()["ok"] is True


def test_redirect_leads_a_client_that_follows_it_to_a_false_success(
    client: httpx2.Client, adjust_body: Maker, number_view: View
) -> None:
    response = client.post("/", json=adjust_body({"adjust": "redirect"}), follow_redirects=True)
    assert (response.json()["code"], number_view()["state"]) == ("0", "NOT_APPLIED")


def test_reused_number_is_refused_even_where_its_new_body_asks_for_a_fault(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker
) -> None:
    """It changes nothing: the cancel fault that it names is not kept either."""
    client.post("/", json=adjust_body())
    assert sight(client, "/", adjust_body({"adjust": "hang", "cancel": "fail"}, orderId=8)) == "code US_0000409"
    assert sight(client, "/get-user-amount", cancel_body()) == "code 0"


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
def test_metadata_that_asks_for_nothing_is_left_alone(client: httpx2.Client, adjust_body: Maker, metadata: str) -> None:
    assert sight(client, "/", adjust_body(metadata=metadata)) == "code 0"


def test_request_is_held_open_for_a_bounded_time(adjust_body: Maker) -> None:
    """A client without a timeout of its own is let go by a reset."""
    with serving(SimulatorSettings(hold_max_s=0.2)) as url, httpx2.Client(base_url=url, timeout=5) as http:
        http.headers.update({"trace": "t", "timestamp": "1760000000000"})
        assert sight(http, "/", adjust_body({"adjust": "hang"})) == "ReadError"
        assert http.get("/simulator/calls").json()["calls"][0]["ended"] == "timed_out"


def test_every_fault_is_planned_and_explained() -> None:
    """No word is allowed that no table carries out or that the guide does not explain."""
    assert (set(ADJUST_PLANS), set(CANCEL_PLANS)) == (set(AdjustFault), set(CancelFault))
    adjust_part, _, cancel_part = GUIDE.read_text().partition("### Faults of a cancel")
    assert {f for f in AdjustFault if f"| `{f}` |" in adjust_part} == set(AdjustFault)
    assert {f for f in CancelFault if f"| `{f}` |" in cancel_part} == set(CancelFault)
    codes = set(re.findall(r"US_[0-9]{7}", (GUIDE.parents[1] / "simulator" / "replies.py").read_text()))
    assert codes <= set(re.findall(r"US_[0-9]{7}", GUIDE.read_text()))
