"""The request of each operation as it is sent: method, path, headers and body bytes."""

import re
import time
from collections.abc import Awaitable, Callable

import pytest

from connector import CallHeaders, ExternalSystem, ExternalSystemConfig
from contract.adjust import AdjustBody
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from settlement.calls import Verdict
from settlement.states import Outcome
from tests.unit.connector.raw_broker import LONG_DEADLINES, ORDER, Request, broker, reply, sending

CANCEL = CancelAdjustBody.undoing(ORDER, number="CA1-1", request_time_ms=1_760_000_003_000, remark="no reply in time")
CANCEL_OPERATION = CancelOperationBody.undoing(
    ORDER, number="CA1-1", request_time_ms=1_760_000_003_000, remark="no reply in time"
)
Call = Callable[[ExternalSystem, CallHeaders], Awaitable[Verdict]]
OPERATIONS: dict[str, Call] = {
    "adjust": lambda system, headers: system.adjust(ORDER, headers, LONG_DEADLINES),
    "cancel adjust": lambda system, headers: system.cancel_adjust(CANCEL, headers, LONG_DEADLINES),
    "cancel operation": lambda system, headers: system.cancel_adjust(CANCEL_OPERATION, headers, LONG_DEADLINES),
}
PATHS = {
    "adjust": "/",
    "cancel adjust": "/get-user-amount",
    "cancel operation": "/global/tradeapi.app.OrderApiService.queryPBOOrderPage",
}
OF_HTTP = {"Host", "Accept", "Accept-Encoding", "Content-Type", "Content-Length", "User-Agent"}
BODIES = {
    "adjust": b'{"thirdServerCode":"customer-7","userName":"user-7","currency":"USD","bizType":1,'
    b'"operationType":"OPEN_POSITION","amountDigits":2,"amount":"12.50","orderId":4711,"requestUniqueNo":"ORD-1",'
    b'"requestTime":1760000000000,"ip":"203.0.113.7"}',
    "cancel adjust": b'{"thirdServerCode":"customer-7","userName":"user-7","currency":"USD","bizType":1,'
    b'"amountDigits":2,"amount":"12.50","orderId":4711,"requestUniqueNo":"CA1-1","reverseRequestUniqueNo":"ORD-1",'
    b'"requestTime":1760000003000,"ip":"203.0.113.7","cancelRemark":"no reply in time"}',
    "cancel operation": b'{"username":"user-7","tx_reverse_id":"ORD-1","reverse_type":1,"txid":"CA1-1",'
    b'"requesttime":1760000003000,"ip":"203.0.113.7","cancel_remark":"no reply in time"}',
}

each_operation = pytest.mark.parametrize("operation", list(OPERATIONS))


async def sent(operation: str, headers: CallHeaders, *, times: int = 1) -> list[Request]:
    """Make one call `times` times and return the requests that the broker received."""
    async with broker(sending(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        for _ in range(times):
            assert (await OPERATIONS[operation](system, headers)).outcome is Outcome.APPLIED
        return there.requests


@each_operation
async def test_request_is_a_post_to_the_published_path(operation: str) -> None:
    [request] = await sent(operation, CallHeaders("t-1"))
    assert request.line == f"POST {PATHS[operation]} HTTP/1.1"


@each_operation
async def test_body_is_exactly_the_contracts_object(operation: str) -> None:
    [request] = await sent(operation, CallHeaders("t-1", 7))
    assert request.body == BODIES[operation]
    assert request.headers["Content-Type"] == "application/json"


@each_operation
async def test_repeated_call_sends_the_same_bytes(operation: str) -> None:
    """A repeated request has the same bytes and the same trace."""
    first, second = await sent(operation, CallHeaders("t-1", 7), times=2)
    assert first.body == second.body
    assert first.line == second.line
    assert first.headers | {"timestamp": ""} == second.headers | {"timestamp": ""}


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        ("adjust", {"trace", "timestamp"}),
        ("cancel adjust", {"trace", "timestamp"}),
        ("cancel operation", {"trace"}),
    ],
)
async def test_headers_are_exactly_those_of_the_contract(operation: str, named: set[str]) -> None:
    """`companyId` is sent only if there is one, and `timestamp` never for cancel operation."""
    [without] = await sent(operation, CallHeaders("t-1"))
    [with_company] = await sent(operation, CallHeaders("t-1", 7))
    assert set(without.headers) - OF_HTTP == named
    assert set(with_company.headers) - OF_HTTP == named | {"companyId"}
    assert (with_company.headers["trace"], with_company.headers["companyId"]) == ("t-1", "7")


@pytest.mark.parametrize("company_id", [0, -1, 2**63 - 1, -(2**63)])
async def test_company_is_sent_as_a_plain_integer(company_id: int) -> None:
    [request] = await sent("adjust", CallHeaders("t-1", company_id))
    assert request.headers["companyId"] == str(company_id)


@pytest.mark.parametrize("operation", ["adjust", "cancel adjust"])
async def test_timestamp_is_the_time_of_the_send_in_13_digits(operation: str) -> None:
    """It is the time of the send, not of the order: a repeated call has a new one."""
    before = time.time_ns() // 1_000_000
    stamps = [request.headers["timestamp"] for request in await sent(operation, CallHeaders("t-1"), times=3)]
    after = time.time_ns() // 1_000_000
    assert all(re.fullmatch("[0-9]{13}", stamp) for stamp in stamps)
    assert [before, *map(int, stamps), after] == sorted([before, *map(int, stamps), after])


@pytest.mark.parametrize("trace", ["t", "x" * 128, "!#$%&'*+-.^_`|~/:;,=?@[]{}"])
async def test_trace_is_sent_as_given(trace: str) -> None:
    [request] = await sent("adjust", CallHeaders(trace))
    assert request.headers["trace"] == trace


@pytest.mark.parametrize("trace", ["a\r\nX-Other: 1", "a\nb", "a\rb", "a\x00b"])
async def test_trace_cannot_inject_another_header(trace: str) -> None:
    """It is refused before a byte is sent; the API does not accept such a trace either."""
    async with broker(sending(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert (await OPERATIONS["adjust"](system, CallHeaders(trace))).outcome is not Outcome.APPLIED
        assert there.requests == []


async def test_text_outside_ascii_is_sent_as_utf_8() -> None:
    order = ORDER.model_copy(update={"userName": "\u5ba2\u6237\U0001f600", "metadata": '{"a":"\u00e9\\u00e9"}'})
    async with broker(sending(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        await system.adjust(order, CallHeaders("t-1"), LONG_DEADLINES)
        body = there.requests[0].body
    assert '"userName":"\u5ba2\u6237\U0001f600"'.encode() in body
    assert AdjustBody.model_validate_json(body) == order


@pytest.mark.parametrize("suffix", ["", "/", "/broker", "/broker/", "/a/b%2Fc/"])
@each_operation
async def test_path_is_appended_to_the_base_url(suffix: str, operation: str) -> None:
    async with broker(sending(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url + suffix)) as system:
        await OPERATIONS[operation](system, CallHeaders("t-1"))
        assert there.requests[0].line == f"POST {suffix.rstrip('/')}{PATHS[operation]} HTTP/1.1"


async def test_paths_can_be_configured() -> None:
    async with broker(sending(reply())) as there:
        config = ExternalSystemConfig(there.url, "/v2/adjust", "/v2/cancel-adjust", "/v2/cancel-operation")
        async with ExternalSystem(config) as system:
            for call in OPERATIONS.values():
                await call(system, CallHeaders("t-1"))
        paths = [request.line.split()[1] for request in there.requests]
    assert paths == ["/v2/adjust", "/v2/cancel-adjust", "/v2/cancel-operation"]


async def test_use_outside_its_context_raises() -> None:
    system = ExternalSystem(ExternalSystemConfig("http://127.0.0.1"))
    with pytest.raises(RuntimeError, match="async context manager"):
        await system.adjust(ORDER, CallHeaders("t-1"), LONG_DEADLINES)
