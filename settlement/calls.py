"""The record of one external call: request, reply, the rule that classified it, and its metric labels."""

from datetime import datetime
from enum import StrEnum

from contract.model import Model
from contract.operations import Operation
from settlement.ids import CancelKind
from settlement.reply_record import ReplyRecord
from settlement.states import CancelResult, Outcome


class Rule(StrEnum):
    """The rule that determined a call's outcome. `docs/outcomes.md` explains each rule to operators."""

    CODE_SUCCESS = "CODE_SUCCESS"
    """APPLIED: HTTP 200 and a reply of table 4 with code 0; ok and fail agree with the code."""
    CODE_FAILURE = "CODE_FAILURE"
    """REJECTED: HTTP 200 or a business status, and a reply of table 4 with another code; ok and fail agree with it."""
    CODE_MEANS_REVERSED = "CODE_MEANS_REVERSED"
    """APPLIED, cancels only: as CODE_FAILURE, with a code that the configuration declares as REVERSED."""
    CODE_MEANS_NOT_APPLIED = "CODE_MEANS_NOT_APPLIED"
    """REJECTED, cancels only: with a code that the configuration declares as NOT_APPLIED."""
    CODE_MEANS_NEVER_RECEIVED = "CODE_MEANS_NEVER_RECEIVED"
    """REJECTED, cancels only: with a code that the configuration declares as NEVER_RECEIVED."""
    CODE_MEANS_IN_PROCESS = "CODE_MEANS_IN_PROCESS"
    """REJECTED, cancels only: with a code that the configuration declares as still in process. It uses no attempt."""
    IN_PROCESS_TOO_LONG = "IN_PROCESS_TOO_LONG"
    """REJECTED, cancels only: as CODE_MEANS_IN_PROCESS, more often than the policy allows. It uses an attempt."""
    CODE_MEANS_REFUSED = "CODE_MEANS_REFUSED"
    """REJECTED, cancels only: with a code that the configuration declares as refused for good."""
    DEADLINE = "DEADLINE"
    """UNKNOWN: the deadline passed before the last byte of the reply arrived."""
    CONNECTION_BROKEN = "CONNECTION_BROKEN"
    """UNKNOWN: the connection broke after the request may have been sent, in whole or in part."""
    HTTP_STATUS = "HTTP_STATUS"
    """UNKNOWN: an HTTP status other than 200, including redirects; or a business status without a reply of table 4."""
    OVERSIZED = "OVERSIZED"
    """UNKNOWN: the reply is larger than the limit."""
    UNREADABLE = "UNREADABLE"
    """UNKNOWN: the reply is not JSON, or not a reply of table 4."""
    CONTRADICTORY = "CONTRADICTORY"
    """UNKNOWN: code, ok and fail contradict each other, a field occurs twice, or code 0 has a business status."""
    FOREIGN_TRACE = "FOREIGN_TRACE"
    """UNKNOWN: a reply of table 4 with another trace than the request, so it answers another request."""
    WORKER_LOST = "WORKER_LOST"
    """UNKNOWN: the worker was lost or failed while the call may have been in flight."""
    NOT_CONNECTED = "NOT_CONNECTED"
    """NOT_SENT: no connection could be made."""
    NOT_CONFIGURED = "NOT_CONFIGURED"
    """NOT_SENT: the configuration lacks the external system, or a secret that it needs. Such a cancel waits."""
    TOO_LATE = "TOO_LATE"
    """NOT_SENT: the worker received the call too late to complete it in time, or the order had expired."""
    BULKHEAD_FULL = "BULKHEAD_FULL"
    """NOT_SENT: the maximum number of adjusts of this company was already in flight."""
    IN_FLIGHT_LIMIT = "IN_FLIGHT_LIMIT"
    """NOT_SENT: the maximum number of calls to this external system was already in flight. Such a cancel waits."""
    RATE_LIMIT = "RATE_LIMIT"
    """NOT_SENT: the external system already got its maximum number of calls per second. Such a cancel waits."""
    BREAKER_OPEN = "BREAKER_OPEN"
    """NOT_SENT: the circuit breaker of the external system is open, or half-open with a probe. Such a cancel waits."""


class Phase(StrEnum):
    """The part of the HTTP exchange that was running when the deadline passed or the connection broke."""

    QUEUE = "QUEUE"
    """Waiting for a free connection."""
    CONNECT = "CONNECT"
    """Connecting, including TLS."""
    FIRST_BYTE = "FIRST_BYTE"
    """Sending the request, or waiting for the first byte of the reply."""
    BODY = "BODY"
    """Reading the reply."""


DETAIL_LENGTH_MAX = 300

CALL_RECORD_BYTES_MAX = 6_000
"""Maximum size of one `CallRecord` as JSON in UTF-8, for any reply. Histories and heartbeats carry these records."""


class Verdict(Model):
    """Outcome of one call, and the reason for it."""

    outcome: Outcome
    rule: Rule
    detail: str = ""
    """Text for the audit, at most 300 characters. It may quote the external system's reply, so it must not appear in
    the Temporal UI's summaries and details."""
    http_status: int | None = None
    retry_after_s: int | None = None
    """The `Retry-After` of an HTTP status 429 or 503, in whole seconds, at most 86,400; None if there is none."""
    reply: ReplyRecord | None = None
    """The reply, if it was one of table 4. With FOREIGN_TRACE it is the reply to another request."""
    phase: Phase | None = None
    """For a call without a complete reply: the phase in which it ended. None for a complete reply, or if not known."""


class CallRecord(Model):
    """One attempt of one external call, as recorded in the audit.

    Its position in the audit identifies it, so recording it again changes nothing. The attempt number does not
    identify it: an activity that is reset in the Temporal UI counts its attempts from 1 again.
    """

    operation: Operation
    kind: CancelKind | None = None
    """Which cancel; None for the adjust."""
    request_unique_no: str
    """The requestUniqueNo that this call carried: the adjust's or the cancel's."""
    round: int = 0
    """0 for the automatic attempts; one higher after each retry by an operator and each take-up by reconciliation."""
    attempt: int = 1
    """Counts the attempts of the round, from 1. A call with the rule CODE_MEANS_IN_PROCESS uses no attempt, so the next
    call has the same number."""
    sent_at: datetime
    duration_ms: int | None = None
    """None while the call is in flight, and permanently if its worker was lost."""
    verdict: Verdict
    cancel_result: CancelResult | None = None
    """Which of the three correct replies a cancel got; None for any other reply, and for an adjust."""

    @property
    def processing_ms(self) -> int | None:
        """Return the external system's own processing time in ms, as its reply states it (`tm`).

        None if the reply has no `tm`, or an impossible one: negative, or longer than the whole call.
        """
        tm = self.verdict.reply.tm if self.verdict.reply else None
        if tm is None or self.duration_ms is None:
            return None
        return tm if 0 <= tm <= self.duration_ms else None


EXTERNAL_CALLS = "settlement_external_calls"
EXTERNAL_CALLS_HELP = "External calls by outcome."
NO_PHASE = "NONE"


def outcome_labels(call: CallRecord) -> dict[str, str]:
    """Return the labels operation and outcome. Labels are always enum values, never received text."""
    return {"operation": call.operation.value, "outcome": call.verdict.outcome.value}


def call_labels(call: CallRecord) -> dict[str, str]:
    """Return all labels of `EXTERNAL_CALLS`: operation, outcome, rule and phase."""
    verdict = call.verdict
    return outcome_labels(call) | {
        "rule": verdict.rule.value,
        "phase": verdict.phase.value if verdict.phase else NO_PHASE,
    }
