"""The record of one external call: what was sent, what came back, by which rule it was classed, how it is counted."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from contract.model import Model
from contract.operations import Operation
from settlement.ids import CancelKind
from settlement.reply_record import ReplyRecord
from settlement.states import CancelResult, Outcome

CancelOperation = Literal[Operation.CANCEL_ADJUST, Operation.CANCEL_OPERATION]
"""An operation that undoes an adjust; each deployment's external system has one of them (a setting)."""


class Rule(StrEnum):
    """The one rule that gave a call its outcome. `docs/outcomes.md` explains each to an operator."""

    CODE_SUCCESS = "CODE_SUCCESS"
    """Applied: HTTP 200, a reply of table 4, code 0, ok and fail agree."""
    CODE_FAILURE = "CODE_FAILURE"
    """Rejected: HTTP 200, a reply of table 4, another code, ok and fail agree."""
    DEADLINE = "DEADLINE"
    """Unknown: the last byte of the reply was not there when the deadline passed."""
    CONNECTION_BROKEN = "CONNECTION_BROKEN"
    """Unknown: the connection broke after sending may have begun."""
    HTTP_STATUS = "HTTP_STATUS"
    """Unknown: an HTTP status other than 200, redirects included."""
    OVERSIZED = "OVERSIZED"
    """Unknown: the reply is larger than the limit."""
    UNREADABLE = "UNREADABLE"
    """Unknown: not JSON, or not a reply of table 4."""
    CONTRADICTORY = "CONTRADICTORY"
    """Unknown: code, ok and fail do not agree, or a field stands there twice."""
    FOREIGN_TRACE = "FOREIGN_TRACE"
    """Unknown: a reply of table 4 that carries another trace than the request, so it answers another request."""
    WORKER_LOST = "WORKER_LOST"
    """Unknown: the worker was lost, or failed, while the call may have been in flight."""
    NOT_CONNECTED = "NOT_CONNECTED"
    """Not sent: no connection could be made."""
    TOO_LATE = "TOO_LATE"
    """Not sent: the call was picked up too late to end in time, or its order had expired."""
    BULKHEAD_FULL = "BULKHEAD_FULL"
    """Not sent: as many adjusts of the same company as may be were in flight already."""


class Phase(StrEnum):
    """How far an exchange had come when its deadline passed or its connection broke."""

    QUEUE = "QUEUE"
    """Waiting for a free connection."""
    CONNECT = "CONNECT"
    """Making a connection, TLS included."""
    FIRST_BYTE = "FIRST_BYTE"
    """Sent, or being sent; waiting for the reply to begin."""
    BODY = "BODY"
    """Reading the reply."""


DETAIL_LENGTH_MAX = 300

CALL_RECORD_BYTES_MAX = 6_000
"""The most that one `CallRecord` takes as JSON in UTF-8, whatever came back. Histories and heartbeats carry them."""


class Verdict(Model):
    """What one call came to, and why."""

    outcome: Outcome
    rule: Rule
    detail: str = ""
    """Plain words for the audit, at most 300 characters. It may quote the external system, so it stays out of the UI's
    summaries and details."""
    http_status: int | None = None
    reply: ReplyRecord | None = None
    """The reply, where it could be read as one of table 4. Under FOREIGN_TRACE it is that of another request."""
    phase: Phase | None = None
    """For a call without a whole reply, how far it had come; None with one, and where that is not known."""


class CallRecord(Model):
    """One attempt of one external call, as the audit keeps it.

    Its position in the audit identifies it; recording it twice is recording it once. (An activity that is
    reset in the Temporal UI counts its attempts anew, so those do not.)
    """

    operation: Operation
    kind: CancelKind | None = None
    """Which cancel act; None for the adjust."""
    request_unique_no: str
    """The number that this call carried: the adjust's own or the cancel's."""
    round: int = 0
    """0 for automation's own attempts, then one more each time an operator has it retried or it is taken up again."""
    attempt: int = 1
    sent_at: datetime
    duration_ms: int | None = None
    """None while it is in flight, and for ever if the worker was lost with it."""
    verdict: Verdict
    cancel_result: CancelResult | None = None
    """For a cancel with one of the three correct replies, which one; else None."""

    @property
    def processing_ms(self) -> int | None:
        """Return how much of the duration the external system says it used itself (`tm`), in ms.

        None where it says nothing, or what cannot be: a negative time, or a longer one than the whole call took.
        """
        tm = self.verdict.reply.tm if self.verdict.reply else None
        if tm is None or self.duration_ms is None:
            return None
        return tm if 0 <= tm <= self.duration_ms else None


EXTERNAL_CALLS = "settlement_external_calls"
EXTERNAL_CALLS_HELP = "External calls by outcome."
NO_PHASE = "NONE"


def outcome_labels(call: CallRecord) -> dict[str, str]:
    """Return operation and outcome. Labels are enum values of `contract`, never a text that was received."""
    return {"operation": call.operation.value, "outcome": call.verdict.outcome.value}


def call_labels(call: CallRecord) -> dict[str, str]:
    """Return all labels of `EXTERNAL_CALLS`: operation, outcome, rule and phase."""
    verdict = call.verdict
    return outcome_labels(call) | {
        "rule": verdict.rule.value,
        "phase": verdict.phase.value if verdict.phase else NO_PHASE,
    }
