"""Metrics of settlements, counted when the snapshot changes; docs/metrics.md lists them all.

They add no command to a history, and a replay does not count again. A workflow task that Temporal repeats, because its
completion was lost, counts twice: use these metrics for rates and the ledger for exact numbers.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import MetricMeter

from settlement.calls import EXTERNAL_CALLS, EXTERNAL_CALLS_HELP, CallRecord, call_labels
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import END_STATES, State

ACCEPTED_TO_DECIDED = "settlement_accepted_to_decided"
CANCEL_ATTEMPTS = "settlement_cancel_attempts"

BUCKETS = {
    ACCEPTED_TO_DECIDED: (
        0.025,
        0.05,
        0.1,
        0.25,
        0.5,
        1.0,
        2.0,
        3.0,
        3.25,
        3.5,
        4.0,
        5.0,
        7.0,
        10.0,
        15.0,
        60.0,
        600.0,
    ),
    CANCEL_ATTEMPTS: (1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0),
}


def count_change(settlement: SettlementInput, before: Snapshot, after: Snapshot) -> None:
    """Count the difference between two snapshots. Never raises: a metric must not stop a settlement."""
    meter = workflow.metric_meter()
    if after.decision is not None and before.decision is None:
        # The two times come from two clocks, the API's and the server's. The meter rejects a negative duration.
        latency = max(workflow.now() - settlement.accepted_at, timedelta(0))
        meter.create_histogram_timedelta(ACCEPTED_TO_DECIDED, "From acceptance to the decision.").record(
            latency, {"decision": after.decision.value}
        )
    if after.state is not before.state and after.state in END_STATES:
        meter.create_counter("settlement_ended", "Settlements ended, by end state.").add(
            1, {"state": after.state.value}
        )
    if after.state is not before.state and after.state is State.ABORTED:
        meter.create_counter("settlement_aborts", "Times that a settlement became ABORTED.").add(1)
    _count_calls(meter, after, after.calls[len(before.calls) :])


def _count_calls(meter: MetricMeter, after: Snapshot, new: tuple[CallRecord, ...]) -> None:
    for call in new:
        if call.duration_ms is None:  # no worker reported it, so no activity has counted it
            meter.create_counter(EXTERNAL_CALLS, EXTERNAL_CALLS_HELP).add(1, call_labels(call))
    if new and new[-1].kind is not None and new[-1].cancel_result is not None:
        kind = new[-1].kind
        meter.create_histogram(CANCEL_ATTEMPTS, "Calls that one cancel took, to its end.").record(
            after.cancel_attempts(kind), {"kind": kind.value, "result": new[-1].cancel_result.value}
        )
