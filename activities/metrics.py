"""Metrics of external calls and ledger writes; docs/metrics.md lists all. The SDK's exporter serves them.

Labels are words of `contract` alone: nothing that a caller or a broker sends becomes one.
"""

from datetime import timedelta

from opentelemetry import trace
from temporalio import activity
from temporalio.common import MetricMeter

from settlement.calls import EXTERNAL_CALLS, EXTERNAL_CALLS_HELP, CallRecord, call_labels, outcome_labels

CALL_DURATION = "settlement_external_call_duration"
"""The exporter adds `_seconds` to a duration and `_total` to a counter."""

PROCESSING_DURATION = "settlement_external_processing_duration"

AROUND_THE_DEADLINE_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 2.75, 3.0, 3.1, 3.25, 3.5, 4.0, 5.0)
"""Buckets, dense where it matters: whether the external system answers within its 3 seconds."""

BUCKETS = {CALL_DURATION: AROUND_THE_DEADLINE_S, PROCESSING_DURATION: AROUND_THE_DEADLINE_S}


def observe_call(call: CallRecord) -> None:
    """Count a call of the activity under way, and say in its span, if there is one, what it came to."""
    count_call(activity.metric_meter(), call)
    verdict = call.verdict
    told = {"operation": call.operation.value, "outcome": verdict.outcome.value, "rule": verdict.rule.value}
    if verdict.phase is not None:
        told["phase"] = verdict.phase.value
    trace.get_current_span().set_attributes({f"settlement.{name}": value for name, value in told.items()})


def count_call(meter: MetricMeter, call: CallRecord) -> None:
    """Count one external call and record its duration."""
    meter.create_counter(EXTERNAL_CALLS, EXTERNAL_CALLS_HELP).add(1, call_labels(call))
    if call.duration_ms is not None:
        meter.create_histogram_timedelta(CALL_DURATION, "Duration of external calls.").record(
            timedelta(milliseconds=call.duration_ms), outcome_labels(call)
        )
    if call.processing_ms is not None:
        meter.create_histogram_timedelta(PROCESSING_DURATION, "The external system's own time in calls.").record(
            timedelta(milliseconds=call.processing_ms), outcome_labels(call)
        )


def count_ledger_write(meter: MetricMeter, *, ok: bool) -> None:
    """Count one attempt to bring a snapshot into the ledger."""
    meter.create_counter("settlement_ledger_writes", "Ledger writes of workflows by result.").add(
        1, {"result": "OK" if ok else "FAILED"}
    )
