"""OpenTelemetry traces, off unless an OTLP endpoint is configured by OpenTelemetry's own variables.

`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` turns them on; the rest of `OTEL_…` (headers,
sampler, service name, resource attributes) holds as everywhere. The protocol is OTLP over HTTP with protobuf.
Nothing global is set, on or off; hence the SDK's `TracingInterceptor`, which takes a tracer, and not its
`OpenTelemetryPlugin`, which wants a global provider of its own and is experimental in 1.35.
"""

import asyncio
import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NoOpTracer, Span, Status, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio.contrib.opentelemetry import TracingInterceptor

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

CLOSE_LIMIT_S = 2.0
"""For the last spans, at the end of a process; a collector that is away must not hold it up."""

KEPT_ATTRIBUTES = frozenset(
    {
        *("http.request.method", "http.route", "http.response.status_code", "error.type"),
        *("temporalWorkflowID", "temporalRunID", "temporalActivityID", "temporalUpdateID"),
        *("settlement.operation", "settlement.outcome", "settlement.rule", "settlement.phase"),
    }
)
"""All that a span says besides its name and times. Anything else could hold what an order, a caller or a broker
wrote: a query string, the text of an exception."""


class _BareExporter(SpanExporter):
    """Exports of every span only what is kept."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_bare(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _bare(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in (span.attributes or {}).items() if name in KEPT_ATTRIBUTES},
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


class _ContinuingTracer(Tracer):
    """Makes spans within a trace that a request began, and begins no trace.

    Schedules, reconciliation and background tasks start work without a request. Each of their spans would be the
    only one of a trace of its own.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_span(  # type: ignore[override] # its caller passes no other arguments
        self,
        name: str,
        context: Context | None = None,
        **options: Any,  # noqa: ANN401 - the tracer's own
    ) -> Span:
        return self._within(context).start_span(name, context, **options)

    def start_as_current_span(  # type: ignore[override] # its caller passes no other arguments
        self,
        name: str,
        context: Context | None = None,
        **options: Any,  # noqa: ANN401 - the tracer's own
    ) -> AbstractContextManager[Span]:
        return self._within(context).start_as_current_span(name, context, **options)

    def _within(self, context: Context | None) -> Tracer:
        is_part_of_a_trace = get_current_span(context).get_span_context().is_valid
        return self._tracer if is_part_of_a_trace else NoOpTracer()


@dataclass(frozen=True)
class Tracing:
    """A process's traces; without a provider there are none."""

    provider: TracerProvider | None = None

    @property
    def interceptors(self) -> list[TracingInterceptor]:
        """What a Temporal client needs to carry a trace on; its workers take it over. They begin none. Replay-safe."""
        if self.provider is None:
            return []
        interceptor = TracingInterceptor(_ContinuingTracer(self.provider.get_tracer("order-settlement")))
        # Only the trace: baggage is whatever a caller likes, and would stay in workflow histories.
        interceptor.text_map_propagator = TraceContextTextMapPropagator()
        return [interceptor]

    async def close(self) -> None:
        """Send what is left, for a moment."""
        if self.provider is not None:
            closing = threading.Thread(target=self.provider.shutdown, daemon=True)
            closing.start()
            await asyncio.to_thread(closing.join, CLOSE_LIMIT_S)


def open_tracing(service_name: str) -> Tracing:
    """Return the process's traces as the environment asks for them.

    Spans wait in a bounded queue and are sent by a thread of their own: while the collector is away they are
    dropped, and nothing waits.
    """
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return Tracing()
    resource = Resource.create({SERVICE_NAME: service_name}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_BareExporter(OTLPSpanExporter())))
    return Tracing(provider)
