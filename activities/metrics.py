"""Metrics of external calls and ledger writes, exported by the Temporal SDK. docs/metrics.md lists all metrics.

Labels are enum values only, never text from a caller or a broker.
"""

from datetime import timedelta

from opentelemetry import trace
from temporalio import activity
from temporalio.common import MetricMeter

from settlement.calls import EXTERNAL_CALLS, EXTERNAL_CALLS_HELP, CallRecord, call_labels, outcome_labels

CALL_DURATION = "settlement_external_call_duration"
"""The exporter adds `_seconds` to a duration and `_total` to a counter."""

PROCESSING_DURATION = "settlement_external_processing_duration"

DURATION_BUCKETS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 2.75, 3.0, 3.1, 3.25, 3.5, 4.0, 5.0)
"""Histogram buckets in seconds, dense around the deadline of 3 seconds."""

BUCKETS = {CALL_DURATION: DURATION_BUCKETS_S, PROCESSING_DURATION: DURATION_BUCKETS_S}


def observe_call(call: CallRecord) -> None:
    """Record the outcome of the activity's external call in the metrics and on the current span."""
    count_call(activity.metric_meter(), call)
    verdict = call.verdict
    attributes = {"operation": call.operation.value, "outcome": verdict.outcome.value, "rule": verdict.rule.value}
    if verdict.phase is not None:
        attributes["phase"] = verdict.phase.value
    trace.get_current_span().set_attributes({f"settlement.{name}": value for name, value in attributes.items()})


def count_call(meter: MetricMeter, call: CallRecord) -> None:
    """Count one external call, and record its duration and the external system's processing time if known."""
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
    """Count one attempt to write a snapshot to the ledger."""
    meter.create_counter("settlement_ledger_writes", "Ledger writes of workflows by result.").add(
        1, {"result": "OK" if ok else "FAILED"}
    )
