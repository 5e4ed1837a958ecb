"""A call within an OpenTelemetry trace sends the header traceparent; any other call does not."""

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, use_span

from connector import ExternalSystem, ExternalSystemConfig
from tests.unit.connector.raw_broker import adjust, broker, reply, sending

CONTEXT = SpanContext(
    trace_id=0x0AF7651916CD43DD8448EB211C80319C,
    span_id=0xB7AD6B7169203331,
    is_remote=False,
    trace_flags=TraceFlags(TraceFlags.SAMPLED),
    trace_state=TraceState([("vendor", "text")]),
)


async def test_only_a_traced_call_sends_traceparent() -> None:
    async with broker(sending(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        await adjust(system)
        with use_span(NonRecordingSpan(CONTEXT)):
            await adjust(system)
        await adjust(system)
    before, traced, after = [request.headers for request in there.requests]
    assert traced["traceparent"] == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert traced.keys() - before.keys() == {"traceparent"}
    assert before.keys() == after.keys()
