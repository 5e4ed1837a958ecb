"""Requests of the connector, captured from a socket, are valid under the published documents."""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from connector import CallHeaders, ExternalSystem, ExternalSystemConfig
from contract.adjust import AdjustRequest
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.fields import BizType
from settlement.ids import CancelKind, cancel_unique_no
from settlement.states import Outcome
from tests.conformity.reading import ADJUST, CANCEL_ADJUST, CANCEL_OPERATION, Published
from tests.unit.connector.raw_broker import LONG_DEADLINES, Broker, Request, broker, reply, sending

REMARK_MAX = "r" * 200
FULL = {
    "thirdServerCode": "customer-7",
    "userName": "user-7",
    "currency": "USD",
    "bizType": 1,
    "operationType": "OPEN_POSITION",
    "amountDigits": 2,
    "amount": "12.50",
    "orderId": 4711,
    "requestUniqueNo": "ORD-1",
    "requestTime": 1_760_000_000_000,
    "ip": "203.0.113.7",
    "metadata": '{"note":"vip"}',
}
ORDERS: dict[str, dict[str, Any]] = {
    "as usual": {},
    "without metadata": {"metadata": None},
    "number of 48 characters": {"requestUniqueNo": "N" * 48},
    "number of 48 characters outside ASCII": {"requestUniqueNo": "\u53f7" * 48},
    "loss beyond the deposit": {"operationType": "ABNORMAL_OVERTRADING", "amount": "-12.50"},
    "closing": {"operationType": "NORMAL_CLOSE", "bizType": 2},
    **{f"bizType {each.value}": {"bizType": each.value} for each in BizType},
    "largest order id": {"orderId": 2**63 - 1},
    "smallest order id": {"orderId": -(2**63)},
    "order id beyond a float": {"orderId": 2**53 + 1},
    "first time of 13 digits": {"requestTime": 1_000_000_000_000},
    "last time of 13 digits": {"requestTime": 9_999_999_999_999},
    "no decimals": {"amountDigits": 0, "amount": "1"},
    "18 decimals": {"amountDigits": 18, "amount": "0.000000000000000001"},
    "longest values": {
        "thirdServerCode": "c" * 256,
        "userName": "\U0001f600" * 48,
        "amountDigits": 18,
        "amount": "9" * 21 + "." + "9" * 18,
        "ip": "0000:0000:0000:0000:0000:ffff:255.255.255.255",
        "metadata": '"' + "\u5907" * 198 + '"',
    },
    "longest negative amount": {
        "operationType": "ABNORMAL_OVERTRADING",
        "amountDigits": 18,
        "amount": "-" + "9" * 20 + "." + "9" * 18,
    },
}
COMPANIES = {"no company": None, "company 0": 0, "largest company": 2**63 - 1, "smallest company": -(2**63)}


def order(changes: dict[str, Any]) -> AdjustRequest:
    """Return an order that is valid under table 1."""
    return AdjustRequest.model_validate({**FULL, **changes})


@pytest_asyncio.fixture(scope="module")
async def there() -> AsyncIterator[Broker]:
    """Run a broker that answers every request with success."""
    async with broker(sending(reply())) as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def system(there: Broker) -> AsyncIterator[ExternalSystem]:
    """Return a client that is configured with a base URL only."""
    async with ExternalSystem(ExternalSystemConfig(there.url)) as client:
        yield client


def valid(request: Request, published: Published) -> dict[str, Any]:
    """Check a captured request against its document and return its body."""
    assert request.line == f"{published.method} {published.path} HTTP/1.1"
    assert request.headers["Content-Type"] == "application/json"
    assert published.header_faults(request.headers) == []
    assert published.body_faults(request.body) == []
    body: dict[str, Any] = json.loads(request.body)
    return body


@pytest.mark.parametrize("company", COMPANIES.values(), ids=COMPANIES)
@pytest.mark.parametrize("changes", ORDERS.values(), ids=ORDERS)
async def test_adjust_is_valid(
    system: ExternalSystem, there: Broker, changes: dict[str, Any], company: int | None
) -> None:
    placed = order(changes)
    assert (await system.adjust(placed, CallHeaders("t-1", company), LONG_DEADLINES)).outcome is Outcome.APPLIED
    body = valid(there.requests[-1], ADJUST)
    assert body == {name: value for name, value in {**FULL, **changes}.items() if value is not None}


@pytest.mark.parametrize("kind", list(CancelKind))
@pytest.mark.parametrize("changes", ORDERS.values(), ids=ORDERS)
async def test_cancel_adjust_is_valid(
    system: ExternalSystem, there: Broker, changes: dict[str, Any], kind: CancelKind
) -> None:
    placed = order(changes)
    number = cancel_unique_no(placed.requestUniqueNo, kind)
    cancel = CancelAdjustBody.undoing(placed, number=number, request_time_ms=9_999_999_999_999, remark=REMARK_MAX)
    assert (await system.cancel_adjust(cancel, CallHeaders("t-1"), LONG_DEADLINES)).outcome is Outcome.APPLIED
    body = valid(there.requests[-1], CANCEL_ADJUST)
    assert body["reverseRequestUniqueNo"] == placed.requestUniqueNo
    assert not body["amount"].startswith("-")


@pytest.mark.parametrize("kind", list(CancelKind))
@pytest.mark.parametrize("changes", ORDERS.values(), ids=ORDERS)
async def test_cancel_operation_is_valid(
    system: ExternalSystem, there: Broker, changes: dict[str, Any], kind: CancelKind
) -> None:
    placed = order(changes)
    number = cancel_unique_no(placed.requestUniqueNo, kind)
    cancel = CancelOperationBody.undoing(placed, number=number, request_time_ms=9_999_999_999_999, remark=REMARK_MAX)
    assert (await system.cancel_adjust(cancel, CallHeaders("t-1"), LONG_DEADLINES)).outcome is Outcome.APPLIED
    body = valid(there.requests[-1], CANCEL_OPERATION)
    assert body["tx_reverse_id"] == placed.requestUniqueNo


@pytest.mark.parametrize("company", COMPANIES.values(), ids=COMPANIES)
async def test_cancels_send_the_company_as_their_documents_say(
    system: ExternalSystem, there: Broker, company: int | None
) -> None:
    placed, at = order({}), 1_760_000_003_000
    cancels: list[tuple[CancelAdjustBody | CancelOperationBody, Published]] = [
        (CancelAdjustBody.undoing(placed, number="CA1-1", request_time_ms=at, remark="no reply"), CANCEL_ADJUST),
        (CancelOperationBody.undoing(placed, number="CA1-1", request_time_ms=at, remark="no reply"), CANCEL_OPERATION),
    ]
    for cancel, published in cancels:
        await system.cancel_adjust(cancel, CallHeaders("t-1", company), LONG_DEADLINES)
        valid(there.requests[-1], published)
        assert ("companyId" in there.requests[-1].headers) is (company is not None)


def test_grid_has_at_least_two_values_of_every_field() -> None:
    """A field added to the documents must be added to the grid too."""
    varied = set(itertools.chain.from_iterable(ORDERS.values()))
    assert set(ADJUST.body["properties"]) - varied == {"currency"}
