"""How a request asks for a fault: which metadata counts, of which request, and how often."""

from typing import Any

import httpx2
import pytest

from tests.unit.simulator.conftest import CANCEL_PATH, OPERATION_PATH, Maker, View
from tests.unit.simulator.observation import expect_no_reply, observe


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
    client: httpx2.Client, adjust_body: Maker, cancel_operation_body: dict[str, Any]
) -> None:
    client.post("/", json=adjust_body({"cancel": "fail", "times": 1}))
    assert [observe(client, OPERATION_PATH, cancel_operation_body) for _ in range(2)] == ["HTTP 500", "code 0"]


def test_reused_number_is_refused_even_if_the_request_asks_for_a_fault(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker
) -> None:
    """The request changes nothing: its cancel fault is not stored either."""
    client.post("/", json=adjust_body())
    assert observe(client, "/", adjust_body({"adjust": "hang", "cancel": "fail"}, orderId=8)) == "code US_0000409"
    assert observe(client, CANCEL_PATH, cancel_body()) == "code 0"


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
