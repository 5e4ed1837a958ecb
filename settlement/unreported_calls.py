"""Records of external calls that no worker reported. The audit must never contain fewer calls than were sent.

Used by the activity `cancel_adjust` and, on replay too, by the workflow.
"""

from datetime import datetime

from pydantic import TypeAdapter

from contract.operations import Operation
from settlement.calls import CallRecord, Rule, Verdict
from settlement.states import Outcome
from settlement.tasks import CancelTask

CALL_RECORDS = TypeAdapter(tuple[CallRecord, ...])
"""Parses the call records in heartbeat details and failure details."""

IN_FLIGHT = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.WORKER_LOST, detail="in flight when its worker was lost")
"""Verdict of an attempt before its reply. It stays in the audit if the worker is lost."""

UNREPORTED = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.WORKER_LOST, detail="its worker was lost before it reported")
"""Verdict of an attempt whose worker was lost together with the heartbeat that it sent before the call."""


def with_unreported(
    reported: tuple[CallRecord, ...], task: CancelTask, attempts: int, operation: Operation, not_before: datetime
) -> tuple[CallRecord, ...]:
    """Return the reported records, plus an UNKNOWN record for each of the task's first `attempts` that is missing.

    Such an attempt may have been sent. A heartbeat is not acknowledged, so it can be lost although the call was sent.
    Only Temporal's own count of attempts is reliable.
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
        for attempt in range(task.attempts_made + 1, task.attempts_made + attempts + 1)
        if attempt not in known
    )
    return (*reported, *missing)
