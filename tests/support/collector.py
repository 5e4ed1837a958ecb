"""A collector of traces, as small as it can be: it takes OTLP over HTTP and keeps every span."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """What a test wants to know of one span."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]
    text: str
    """All of it, as it came."""


@dataclass
class Collector:
    """A listening collector and all spans it was sent; while `silent` it takes requests and never answers."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    silent: bool = False
    asked: int = 0

    async def take(self, request: web.Request) -> web.Response:
        """Keep what one export brings."""
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        brought = ExportTraceServiceRequest.FromString(await request.read())
        for each in brought.resource_spans:
            named = {attribute.key: attribute.value.string_value for attribute in each.resource.attributes}
            for scope in each.scope_spans:
                for span in scope.spans:
                    attributes = {attribute.key: str(attribute.value) for attribute in span.attributes}
                    ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
                    self.spans.append(Span(named["service.name"], span.name, *ids, attributes, str(span)))
        return web.Response()

    def named(self, name: str) -> list[Span]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Run a collector on a free port of 127.0.0.1."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()
