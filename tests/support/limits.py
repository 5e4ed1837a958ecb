"""Timeouts and retry policies of every activity, as they reach Temporal: the snapshot, and how they are read.

Replay does not notice when they change, so a change stands here, beside its reason in `settlement/limits.py`.
"""

from typing import NamedTuple

from google.protobuf.duration_pb2 import Duration
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes
from temporalio.client import WorkflowHistory

from tests.support.orders import QUICK_POLICY

EVER = 10 * 365 * 86_400.0
"""What the time-skipping server makes of no limit: ten years."""
NONE = 0.0


class Limits(NamedTuple):
    """What bounds one activity; seconds."""

    task_queue: str
    start_to_close_s: float
    schedule_to_start_s: float
    heartbeat_s: float
    attempts: int
    """0: without an end."""
    first_pause_s: float
    longest_pause_s: float
    grows: float = 2.0

    @classmethod
    def of(cls, scheduled: ActivityTaskScheduledEventAttributes) -> "Limits":
        """Read what an activity was scheduled with."""
        retry = scheduled.retry_policy
        return cls(
            task_queue=scheduled.task_queue.name,
            start_to_close_s=seconds(scheduled.start_to_close_timeout),
            schedule_to_start_s=seconds(scheduled.schedule_to_start_timeout),
            heartbeat_s=seconds(scheduled.heartbeat_timeout),
            attempts=retry.maximum_attempts,
            first_pause_s=seconds(retry.initial_interval),
            longest_pause_s=seconds(retry.maximum_interval),
            grows=retry.backoff_coefficient,
        )


_LOOK = Limits("order-settlement-reconciliation", 120, EVER, 20, 3, 1, 10)
OF_A_SETTLEMENT = {
    "adjust": Limits("order-settlement", 6, QUICK_POLICY.expire_after_s, NONE, 1, 1, 100),
    "cancel_adjust": Limits(
        "order-settlement-cancels",
        6,
        EVER,
        NONE,
        QUICK_POLICY.cancel_max_attempts,
        QUICK_POLICY.cancel_initial_interval_s,
        QUICK_POLICY.cancel_max_interval_s,
    ),
    "record_settlement": Limits("order-settlement-ledger", 15, EVER, NONE, 0, 0.2, 30),
}
OF_A_BATCH = {
    "retry_settlements": Limits("order-settlement-batches", 65, EVER, 10, 0, 0.2, 30),
    "end_batch": Limits("order-settlement-batches", 15, EVER, NONE, 0, 0.2, 30),
}
OF_A_ROUND = {
    "start_batches": _LOOK,
    "check_temporal": _LOOK,
    "check_ledger": _LOOK,
    "review_findings": _LOOK,
    "record_round": Limits("order-settlement-reconciliation", 15, EVER, NONE, 3, 1, 10),
}
SNAPSHOT = OF_A_SETTLEMENT | OF_A_BATCH | OF_A_ROUND
LOCAL = {"record_at_once"}
"""Local activities. A history does not contain their limits, and the server does not know them."""


def limits_in(history: WorkflowHistory) -> dict[str, Limits]:
    """Return the limits of every activity of a history; one that was scheduled with different ones is an error."""
    found: dict[str, Limits] = {}
    for event in history.events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            scheduled = event.activity_task_scheduled_event_attributes
            limits = Limits.of(scheduled)
            assert found.setdefault(scheduled.activity_type.name, limits) == limits
    return found


def timers_in(history: WorkflowHistory) -> list[float]:
    """Return how long every timer of a history was to run, in order; seconds."""
    return [
        seconds(event.timer_started_event_attributes.start_to_fire_timeout)
        for event in history.events
        if event.HasField("timer_started_event_attributes")
    ]


def seconds(duration: Duration) -> float:
    """Return a duration in seconds; none is 0."""
    return duration.ToTimedelta().total_seconds()
