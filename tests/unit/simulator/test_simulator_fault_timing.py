"""When a fault delays something: the adjust itself, its reply, or the end of the connection."""

import time

import httpx2
import pytest

from simulator.server import serving
from simulator.service import SimulatorSettings
from tests.unit.simulator.conftest import CANCEL_PATH, LIMIT_S, Calls, Maker, View
from tests.unit.simulator.observation import expect_no_reply, observe


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


def test_request_is_held_open_for_a_bounded_time(adjust_body: Maker) -> None:
    """A client without a timeout gets a reset."""
    with serving(SimulatorSettings(hold_max_s=0.2)) as url, httpx2.Client(base_url=url, timeout=5) as http:
        http.headers.update({"trace": "t", "timestamp": "1760000000000"})
        assert observe(http, "/", adjust_body({"adjust": "hang"})) == "ReadError"
        assert http.get("/simulator/calls").json()["calls"][0]["ended"] == "timed_out"


def test_journal_records_when_the_client_disconnected(
    client: httpx2.Client, adjust_body: Maker, ended_calls: Calls
) -> None:
    """The recorded time runs from the first byte received to the end of the connection."""
    expect_no_reply(client, "/", adjust_body({"adjust": "hang"}))
    call = ended_calls(1)[0]
    assert 0.2e9 < call["endedAtNs"] - call["receivedAtNs"] < 1e9
