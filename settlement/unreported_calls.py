"""Records of external calls that no worker reported. The audit must never contain fewer calls than were sent.

Used by the activity `cancel_adjust` and, on replay too, by the workflow.
"""

from datetime import datetime

from pydantic import TypeAdapter

from contract.operations import Operation
from settlement.calls import CallRecord, Rule, Verdict
from settlement.states import Outcome
from settlement.tasks import CancelTask

CALLS = TypeAdapter(tuple[CallRecord, ...])
"""Reads the records that travel in heartbeats and in failures."""

IN_FLIGHT = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.WORKER_LOST, detail="in flight when its worker was lost")
"""Verdict of an attempt until its reply is in. Whatever kills the worker, the audit keeps this."""

UNREPORTED = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.WORKER_LOST, detail="its worker was lost before it reported")
"""Verdict of an attempt whose worker was lost together with the heartbeat sent before the call."""


def with_unreported(
    reported: tuple[CallRecord, ...], task: CancelTask, attempts: int, operation: Operation, not_before: datetime
) -> tuple[CallRecord, ...]:
    """Add a record for each of a round's first `attempts` that no worker reported: it may have been sent.

    A heartbeat is not acknowledged, so a call can be sent before it, and both can be lost. Only Temporal's own
    count of the attempts is certain.
    """
    known = {call.attempt for call in reported}
    missing = (
        CallRecord(
            operation=operation,
            kind=task.intent.kind,
            request_unique_no=task.request_unique_no,
            round=task.round,
            attempt=attempt,
            sent_at=not_before,
            verdict=UNREPORTED,
        )
        for attempt in range(1, attempts + 1)
        if attempt not in known
    )
    return (*reported, *missing)
