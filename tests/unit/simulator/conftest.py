"""Fixtures: a running simulator, a client for it, and valid request bodies, with their types and paths."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from simulator.server import serving

HEADERS = {"trace": "trace-1", "timestamp": "1760000000000", "companyId": "7"}
LIMIT_S = 10.0
CANCEL_PATH = "/get-user-amount"
OPERATION_PATH = "/global/tradeapi.app.OrderApiService.queryPBOOrderPage"

Maker = Callable[..., dict[str, Any]]
View = Callable[[], dict[str, Any]]
Calls = Callable[[int], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Run one simulator for the tests of a module; each test uses its own numbers."""
    with serving() as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[httpx2.Client]:
    """Yield a client with a timeout of 10 s; a test that expects no reply sets a shorter one."""
    with httpx2.Client(base_url=url, headers=HEADERS, timeout=LIMIT_S) as http:
        yield http


@pytest.fixture
def number() -> str:
    """Return an adjust number that no other test uses."""
    return f"N-{uuid4().hex}"


@pytest.fixture
def adjust_body(number: str) -> Maker:
    """Return a function that builds adjust bodies: `simulate` goes into the metadata, `changes` replace fields."""

    def make(simulate: dict[str, Any] | None = None, **changes: object) -> dict[str, Any]:
        body: dict[str, Any] = {
            "thirdServerCode": f"customer of {number}",
            "userName": "user-1",
            "currency": "USD",
            "bizType": 1,
            "operationType": "OPEN_POSITION",
            "amountDigits": 2,
            "amount": "12.50",
            "orderId": 7,
            "requestUniqueNo": number,
            "requestTime": 1_760_000_000_000,
            "ip": "203.0.113.7",
        }
        metadata = {"metadata": json.dumps({"simulate": simulate})} if simulate is not None else {}
        return body | metadata | changes

    return make


@pytest.fixture
def cancel_body(adjust_body: Maker, number: str) -> Maker:
    """Return a function that builds cancel adjust bodies; `own` makes the cancel's own number."""

    def make(own: str = "1", simulate: dict[str, Any] | None = None, **changes: object) -> dict[str, Any]:
        body = adjust_body(simulate)
        del body["operationType"]
        cancel_fields = {
            "requestUniqueNo": f"C{own}-{number}"[:48],
            "reverseRequestUniqueNo": number,
            "cancelRemark": "no reply in time",
        }
        return body | cancel_fields | changes

    return make


@pytest.fixture
def cancel_operation_body(number: str) -> dict[str, Any]:
    """Return the body of a cancel by the deprecated operation."""
    return {
        "username": "user-1",
        "tx_reverse_id": number,
        "reverse_type": 1,
        "txid": f"T-{number}",
        "requesttime": 1_760_000_003_000,
        "ip": "203.0.113.7",
        "cancel_remark": "no reply",
    }


@pytest.fixture
def number_view(client: httpx2.Client, number: str) -> View:
    """Return a function that fetches the books' view of the test's number."""

    def fetch() -> dict[str, Any]:
        view: dict[str, Any] = client.get(f"/simulator/numbers/{number}").json()
        return view

    return fetch


@pytest.fixture
def ended_calls(client: httpx2.Client, number: str) -> Calls:
    """Return a function that waits until `count` requests of the test's number have ended, and returns them."""

    def wait_for(count: int) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            calls = client.get("/simulator/calls", params={"number": number}).json()["calls"]
            if len(calls) == count and all(call["ended"] for call in calls):
                return calls
        message = f"waited {LIMIT_S} s for {count} ended calls: {calls}"
        raise AssertionError(message)

    return wait_for
