"""Metrics of external calls and ledger writes; docs/metrics.md lists all. The SDK's exporter serves them.

Labels are words of `contract` alone: nothing that a caller or a broker sends becomes one.
"""

from datetime import timedelta

from opentelemetry import trace
from temporalio import activity
from temporalio.common import MetricMeter

from contract.calls import CallRecord

CALL_DURATION = "settlement_external_call_duration"
"""The exporter adds `_seconds` to a duration and `_total` to a counter."""

NO_PHASE = "NONE"

AROUND_THE_DEADLINE_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 2.75, 3.0, 3.1, 3.25, 3.5, 4.0, 5.0)
"""Buckets, dense where it matters: whether the external system answers within its 3 seconds."""

BUCKETS = {CALL_DURATION: AROUND_THE_DEADLINE_S}


def observe_call(call: CallRecord) -> None:
    """Count a call of the activity under way, and say in its span, if there is one, what it came to."""
    count_call(activity.metric_meter(), call)
    verdict = call.verdict
    told = {"operation": call.operation.value, "outcome": verdict.outcome.value, "rule": verdict.rule.value}
    if verdict.phase is not None:
        told["phase"] = verdict.phase.value
    trace.get_current_span().set_attributes({f"settlement.{name}": value for name, value in told.items()})


def count_call(meter: MetricMeter, call: CallRecord) -> None:
    """Count one external call, and how long it took if anybody knows."""
    verdict = call.verdict
    came_to = {"operation": call.operation.value, "outcome": verdict.outcome.value}
    why = {"rule": verdict.rule.value, "phase": verdict.phase.value if verdict.phase else NO_PHASE}
    meter.create_counter("settlement_external_calls", "External calls by what they came to.").add(1, came_to | why)
    if call.duration_ms is not None:
        meter.create_histogram_timedelta(CALL_DURATION, "Duration of external calls.").record(
            timedelta(milliseconds=call.duration_ms), came_to
        )


def count_ledger_write(meter: MetricMeter, *, ok: bool) -> None:
    """Count one attempt to bring a snapshot into the ledger."""
    meter.create_counter("settlement_ledger_writes", "Ledger writes of workflows by result.").add(
        1, {"result": "OK" if ok else "FAILED"}
    )
