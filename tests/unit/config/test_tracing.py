"""Traces are off unless an endpoint is set, and spans contain no text of an order or an error."""

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, set_span_in_context

from config.tracing import ENDPOINTS, Tracing, _FilteringExporter, open_tracing


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)


async def test_traces_are_off_without_an_endpoint() -> None:
    tracing = open_tracing("a-service")
    assert tracing.provider is None
    assert tracing.interceptors == []
    await tracing.close()


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_either_endpoint_turns_traces_on_and_nothing_global_is_set(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = trace.get_tracer_provider()
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    tracing = open_tracing("a-service")
    assert tracing.provider is not None
    assert tracing.provider.resource.attributes["service.name"] == "a-service"
    assert len(tracing.interceptors) == 1
    assert trace.get_tracer_provider() is before
    await tracing.close()


async def test_service_name_can_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINTS[0], "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    tracing = open_tracing("a-service")
    assert tracing.provider is not None
    assert tracing.provider.resource.attributes["service.name"] == "mine"
    await tracing.close()


def test_error_texts_and_unknown_attributes_are_not_exported() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(_FilteringExporter(kept)))
    error = RuntimeError("12.50 USD of user-7")
    attributes = {"http.route": "/v1/settlements", "url.query": "userName=user-7"}
    with pytest.raises(RuntimeError), provider.get_tracer("t").start_as_current_span("s", attributes=attributes):
        raise error
    [span] = kept.get_finished_spans()
    assert dict(span.attributes or {}) == {"http.route": "/v1/settlements"}
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())
    assert "user-7" not in span.to_json()


def test_interceptor_continues_a_trace_and_starts_none() -> None:
    """Work without a request, such as a scheduled round, would fill the collector with traces of one span."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    [interceptor] = Tracing(provider).interceptors
    tracer = interceptor.tracer
    for elsewhere in (None, context.Context()):
        with tracer.start_as_current_span("RunActivity:check_ledger", context=elsewhere) as outer:
            tracer.start_span("StartWorkflow:OrderSettlement").end()
        assert not outer.get_span_context().is_valid
    assert kept.get_finished_spans() == ()
    request = provider.get_tracer("api").start_span("POST")
    with tracer.start_as_current_span("RunActivity:adjust", context=set_span_in_context(request)):
        tracer.start_span("within").end()
    assert [span.name for span in kept.get_finished_spans()] == ["within", "RunActivity:adjust"]
    assert {span.context.trace_id for span in kept.get_finished_spans()} == {request.get_span_context().trace_id}
