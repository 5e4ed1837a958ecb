"""One OpenTelemetry trace from the POST to every external call, and none without an endpoint."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio

from config.tracing import ENDPOINTS, KEPT_ATTRIBUTES
from settlement.states import CancelResult, Decision, State
from tests.e2e.conftest import Answer, System, e2e_settings, running
from tests.support.collector import Collector, collecting
from tests.support.orders import order
from tests.support.polling import until
from tests.unit.connector.raw_broker import Broker, Peer, broker, reply

CALLERS_TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLERS_HEADERS = {
    "traceparent": f"00-{CALLERS_TRACE}-b7ad6b7169203331-01",
    "tracestate": "vendor=hush-1",
    "baggage": "user=hush-2",
}
ADJUST = "POST / HTTP/1.1"
FAIL = "please-fail"
NEVER_RECEIVED = b'{"code":"US_0000002"}'


async def unhelpful(peer: Peer) -> None:
    """Fail adjusts that request it, apply all others, and reply NEVER_RECEIVED to cancels."""
    is_adjust = peer.request.line == ADJUST
    failing = is_adjust and FAIL in peer.request.body.decode()
    status = "500 Broken" if failing else "200 OK"
    await peer.send(reply(b'{"code":"0"}' if is_adjust else NEVER_RECEIVED, status=status))


@dataclass
class Traced:
    """A stack that sends traces to a collector, and whose external system records headers."""

    system: System
    collector: Collector
    broker: Broker

    async def post(self, *, fail: bool) -> Answer:
        """Post an order as part of the caller's trace."""
        body = order(
            userName="hush-3", ip="203.0.113.99", amount="4711.33", metadata=f'{{"{FAIL}":1}}' if fail else None
        )
        url = f"{self.system.stack.api_url}/v1/settlements"
        headers = {"Prefer": "wait=15", "X-Note": "hush-4", **CALLERS_HEADERS}
        async with self.system.http.post(url, json=body, headers=headers) as response:
            return Answer(response.status, response.headers, await response.json())

    async def wait_for_requests(self, count: int) -> None:
        """Wait until the external system has received `count` requests."""

        async def probe() -> bool:
            return len(self.broker.requests) >= count

        await until(probe)

    async def wait_for_spans(self, *names: str) -> None:
        """Wait until the collector has spans of these names."""

        async def probe() -> bool:
            return all(self.collector.named(name) for name in names)

        await until(probe)


@contextmanager
def environment(endpoint: str) -> Iterator[None]:
    """Set OpenTelemetry's variables for processes started in this context."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ENDPOINTS:
            patch.delenv(name, raising=False)
        patch.setenv(ENDPOINTS[0], endpoint)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield


@pytest_asyncio.fixture(scope="module")
async def traced(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traced]:
    """Run a stack with traces. The last test turns them off."""
    async with collecting() as collector, broker(unhelpful) as there, AsyncExitStack() as parts:
        with environment(collector.url):
            settings = e2e_settings(tmp_path_factory.mktemp("traced"), external_base_url=there.url, confirm_after_s=2)
            system = await parts.enter_async_context(running(settings))
        yield Traced(system, collector, there)


async def test_one_trace_runs_from_the_post_to_every_call_through_a_replay(traced: Traced) -> None:
    """The worker is killed in the quarantine. The next one replays the workflow and sends no span twice."""
    answer = await traced.post(fail=True)
    assert answer.body["decision"] == Decision.VOID
    await traced.wait_for_requests(2)
    await traced.wait_for_spans("StartActivity:adjust", "RunActivity:cancel_adjust")
    await traced.system.stack.worker.kill()
    await traced.system.stack.worker.start()
    ended = await traced.system.ends(answer.body["requestUniqueNo"])
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.NEVER_RECEIVED)
    adjust, first, confirming = traced.broker.requests
    assert confirming.headers["trace"] == adjust.headers["trace"]

    parents = [request.headers["traceparent"].split("-") for request in (adjust, first, confirming)]
    assert {parent[1] for parent in parents} == {CALLERS_TRACE}
    await traced.wait_for_spans(
        "POST /v1/settlements", "RunWorkflow:OrderSettlement", "CompleteWorkflow:OrderSettlement"
    )

    async def both_cancels_sent() -> bool:
        return len(traced.collector.named("RunActivity:cancel_adjust")) == 2

    await until(both_cancels_sent)
    spans = {span.span_id: span for span in traced.collector.spans}
    assert [spans[parent[2]].name for parent in parents] == ["RunActivity:adjust", *["RunActivity:cancel_adjust"] * 2]
    assert {span.trace_id for span in spans.values()} == {CALLERS_TRACE}
    assert {span.service for span in spans.values()} == {"order-settlement-api", "order-settlement-worker"}
    for name in ("POST /v1/settlements", "RunWorkflow:OrderSettlement", "StartActivity:adjust", "RunActivity:adjust"):
        assert len(traced.collector.named(name)) == 1, name


async def test_work_without_a_request_has_no_trace(traced: Traced) -> None:
    """Rounds of reconciliation run on a schedule; none of their activities starts a trace."""

    async def last_round() -> object:
        return (await traced.system.ask("GET", "/v1/reconciliation")).body["lastRound"]

    before = await last_round()
    await traced.system.ask("POST", "/v1/reconciliation/rounds", headers=CALLERS_HEADERS)

    async def another_round() -> bool:
        return await last_round() != before

    await until(another_round)
    adjusts = len(traced.collector.named("RunActivity:adjust"))
    await traced.post(fail=False)

    async def later_span_is_here() -> bool:
        return len(traced.collector.named("RunActivity:adjust")) > adjusts

    await until(later_span_is_here)  # spans of one process arrive in order
    assert [span.name for span in traced.collector.spans if span.trace_id != CALLERS_TRACE] == []


async def test_a_span_has_the_outcome_of_a_call_and_no_data_of_the_order(traced: Traced) -> None:
    await traced.post(fail=True)
    await traced.wait_for_spans("RunActivity:adjust")
    attributes = traced.collector.named("RunActivity:adjust")[0].attributes
    assert "UNKNOWN" in attributes["settlement.outcome"]
    assert "HTTP_STATUS" in attributes["settlement.rule"]
    assert {name for span in traced.collector.spans for name in span.attributes} <= KEPT_ATTRIBUTES
    for span in traced.collector.spans:
        for secret in ("hush-2", "hush-3", "hush-4", "4711.33", "203.0.113.99", "customer-7"):
            assert secret not in span.text


async def test_only_traceparent_goes_to_the_external_system(traced: Traced) -> None:
    """The other trace headers of a caller contain arbitrary text."""
    before = len(traced.broker.requests)
    await traced.post(fail=False)
    headers = {name.lower(): value for name, value in traced.broker.requests[before].headers.items()}
    assert "traceparent" in headers
    assert not headers.keys() & {"tracestate", "baggage"}
    assert not any("hush" in value for value in headers.values())


async def test_reads_start_no_trace(traced: Traced) -> None:
    number = (await traced.post(fail=False)).body["requestUniqueNo"]
    await traced.system.get(number)
    assert not [span for span in traced.collector.spans if span.name.startswith("GET")]


async def test_an_unresponsive_collector_delays_neither_a_settlement_nor_a_shutdown(traced: Traced) -> None:
    """It accepts every request and answers none."""
    traced.collector.silent = True
    asked = traced.collector.asked
    assert (await traced.post(fail=False)).body["decision"] == Decision.PROCEED

    async def exporting() -> bool:
        return traced.collector.asked > asked

    await until(exporting)
    assert (await traced.post(fail=False)).body["decision"] == Decision.PROCEED
    for part in (traced.system.stack.worker, traced.system.stack.api):
        await part.stop()
        assert await part.wait() == 0, "it was killed because it did not end in time"


async def test_without_an_endpoint_nothing_is_traced_and_no_header_is_sent(traced: Traced) -> None:
    """Also if the caller sends a trace."""
    for part in (traced.system.stack.worker, traced.system.stack.api):
        await part.stop()
        part.env = {name: value for name, value in part.env.items() if name not in ENDPOINTS}
        await part.start()
    asked, sent = traced.collector.asked, len(traced.broker.requests)
    assert (await traced.post(fail=False)).body["decision"] == Decision.PROCEED
    [adjust] = traced.broker.requests[sent:]
    assert not {name.lower() for name in adjust.headers} & {"traceparent", "tracestate", "baggage"}
    assert traced.collector.asked == asked
