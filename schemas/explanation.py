"""The explanation of a settlement in plain language: timeline, meaning for the money, next step."""

import shlex
from datetime import datetime

from contract.model import Model
from contract.operations import Operation
from schemas.settlement import filled_in, split_params
from settlement.calls import CallRecord, Phase, Rule
from settlement.circuit_breaker import BreakerState, BreakerStatus
from settlement.states import CancelResult, Decision, Outcome, State


class TimelineEntry(Model):
    """One event of the timeline, and when it happened."""

    at: datetime
    text: str


class NextStep(Model):
    """What happens next, and who does it: the automation or an operator."""

    text: str
    who: str
    """`nobody`, `automation` or `operator`."""
    at: datetime | None = None
    """The latest time at which the automation does it, without waits for which the broker may still ask; null if an
    operator must act or nothing is left to do."""
    commands: tuple[str, ...] = ()
    """CLI commands that an operator can run now."""


class Explanation(Model):
    """The complete history of one settlement, and its next step."""

    system: str
    request_unique_no: str
    state: State
    decision: Decision | None
    headline: str
    money: str
    """What the current state means for the money, in one sentence."""
    timeline: tuple[TimelineEntry, ...]
    next: NextStep
    breaker: str | None = None
    """The circuit breaker of its external system now, if it kept a call of this settlement from being sent."""
    temporal_ui_url: str | None


RULE_IN_WORDS: dict[Rule, str] = {
    Rule.CODE_SUCCESS: "the reply is correct and has code 0",
    Rule.CODE_FAILURE: "the reply is correct and has a code other than 0",
    Rule.CODE_MEANS_REVERSED: "the reply has a code that the configuration declares as REVERSED",
    Rule.CODE_MEANS_NOT_APPLIED: "the reply has a code that the configuration declares as NOT_APPLIED",
    Rule.CODE_MEANS_NEVER_RECEIVED: "the reply has a code that the configuration declares as NEVER_RECEIVED",
    Rule.CODE_MEANS_IN_PROCESS: "the reply has a code that the configuration declares as still in process",
    Rule.IN_PROCESS_TOO_LONG: "the reply says once more that the cancel is still in process, more often than allowed",
    Rule.CODE_MEANS_REFUSED: "the reply has a code that the configuration declares as refused for good",
    Rule.DEADLINE: "no complete reply arrived within the deadline",
    Rule.CONNECTION_BROKEN: "the connection broke after sending may have begun",
    Rule.HTTP_STATUS: "the reply has an HTTP status other than 200",
    Rule.OVERSIZED: "the reply is larger than the limit",
    Rule.UNREADABLE: "the reply cannot be read as a reply of the contract",
    Rule.CONTRADICTORY: "the reply contradicts itself",
    Rule.FOREIGN_TRACE: "the reply has the trace of another request, so it does not answer this one",
    Rule.WORKER_LOST: "the worker or the workflow failed or was lost; the request may have been sent",
    Rule.NOT_CONNECTED: "no connection could be made, so the request was not sent",
    Rule.TOO_LATE: "it was too late to send the request, so it was not sent",
    Rule.NOT_CONFIGURED: "the external system, or a secret of it, was not configured, so the request was not sent",
    Rule.IN_FLIGHT_LIMIT: "too many calls to this external system were already in flight, so the request was not sent",
    Rule.RATE_LIMIT: "this external system already got its maximum of calls per second, so the request was not sent",
    Rule.BREAKER_OPEN: "the circuit breaker of this external system was open, so the request was not sent",
    Rule.BULKHEAD_FULL: "too many adjusts of this company were already in flight, so the request was not sent",
}


def breaker_in_words(system: str, status: BreakerStatus | None) -> str:
    """Describe the circuit breaker of an external system now; None: its configuration has none."""
    breaker = f"The circuit breaker of the external system {system}"
    if status is None:
        return f"{breaker} has been switched off."
    if status.state is None or status.since is None:
        return f"{breaker}: no worker reports its state."
    affected = {BreakerState.OPEN: status.workers_open, BreakerState.HALF_OPEN: status.workers_half_open}
    workers = affected.get(status.state, status.workers)
    since = status.since.isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"{breaker} is {status.state} now, since {since}, in {workers} of {status.workers} workers."


PHASE_IN_WORDS: dict[Phase, str] = {
    Phase.QUEUE: "while waiting for a free connection",
    Phase.CONNECT: "while connecting",
    Phase.FIRST_BYTE: "before the first byte of the reply",
    Phase.BODY: "while reading the reply",
}

CANCEL_RESULT_IN_WORDS: dict[CancelResult, str] = {
    CancelResult.REVERSED: "the adjust had been applied, and the amount was given back",
    CancelResult.NOT_APPLIED: "the adjust was received but had not been applied",
    CancelResult.NEVER_RECEIVED: "the adjust was never received",
}

MONEY_IN_WORDS: dict[State, str] = {
    State.ADJUSTING: "Not known yet: the adjust may have been sent.",
    State.SETTLED: "The credit is adjusted, and the decision is PROCEED.",
    State.EXPIRED: "Nothing was sent. The external system holds no amount for this order.",
    State.CANCELLING: "The order is void. Until the cancel is settled, the external system may still hold the amount.",
    State.CANCELLED: "The order is void, and the external system holds no amount for it.",
    State.ABORTED: "In doubt: the order is void, but the external system may still hold the amount.",
    State.RESOLVED: "An operator closed the case. The reason and the reference say where the money is.",
}

_ADJUST_OUTCOME_IN_WORDS: dict[Outcome, str] = {
    Outcome.APPLIED: "the credit is adjusted",
    Outcome.REJECTED: "the external system reports that it did not adjust the credit",
    Outcome.UNKNOWN: "it is not known whether the credit was adjusted",
    Outcome.NOT_SENT: "nothing was sent",
}


_UNSETTLED_IN_WORDS: dict[Rule, str] = {
    Rule.CODE_MEANS_IN_PROCESS: "this does not settle the cancel, and uses no attempt",
    Rule.CODE_MEANS_REFUSED: "this does not settle the cancel, and it is not sent again by itself",
}


def call_in_words(call: CallRecord, money: str) -> str:
    """Describe one external call: what was sent, what came back, the outcome and its rule, and what that means.

    `money` is the amount with its currency, such as "12.50 USD".
    """
    rule = call.verdict.rule
    return (
        f"{_operation(call)} {money}, number {call.request_unique_no}{_attempt(call)}: "
        f"{RULE_IN_WORDS[rule]}{_facts(call)}.{_processing_time(call)} "
        f"Outcome {call.verdict.outcome} by rule {rule}: {_meaning(call)}."
    )


def _operation(call: CallRecord) -> str:
    if call.operation is Operation.ADJUST:
        return "adjust"
    return f"{call.operation.lower().replace('_', ' ')} ({(call.kind or 'FIRST').lower()})"


def _attempt(call: CallRecord) -> str:
    if call.operation is Operation.ADJUST:
        return ""
    return f", attempt {call.attempt}" + (f" of round {call.round + 1}" if call.round else "")


def _facts(call: CallRecord) -> str:
    """Return duration, phase, HTTP status and the main fields of the reply in parentheses; empty if none is known."""
    verdict = call.verdict
    facts = [f"after {call.duration_ms} ms"] if call.duration_ms is not None else []
    facts += [PHASE_IN_WORDS[verdict.phase]] if verdict.phase is not None else []
    named: list[tuple[str, object]] = [("HTTP status", verdict.http_status)]
    named += [("Retry-After in s", verdict.retry_after_s)]
    if (reply := verdict.reply) is not None:
        is_foreign = verdict.rule is Rule.FOREIGN_TRACE
        named += [("trace", reply.trace if is_foreign else None), ("bizCode", reply.biz_code or None)]
        named += [("code", reply.code), ("msg", filled_in(reply.msg or "", split_params(reply.msg_params)) or None)]
    facts += [f"{name} {value}" for name, value in named if value is not None]
    return f" ({', '.join(facts)})" if facts else ""


def _processing_time(call: CallRecord) -> str:
    """Split the duration into the time that the external system reports (`tm`) and the rest; empty without a `tm`."""
    tm = call.verdict.reply.tm if call.verdict.reply else None
    if tm is None or call.duration_ms is None:
        return ""
    if call.processing_ms is None:
        return (
            f" The external system reports a processing time of {tm} ms (tm), which is not plausible: "
            f"the whole call took {call.duration_ms} ms."
        )
    rest_ms = call.duration_ms - call.processing_ms
    return (
        f" The external system reports a processing time of {tm} ms (tm); "
        f"the other {rest_ms} ms were spent in the network and in this service."
    )


def _meaning(call: CallRecord) -> str:
    if call.operation is Operation.ADJUST:
        return _ADJUST_OUTCOME_IN_WORDS[call.verdict.outcome]
    if call.cancel_result is not None:
        return f"{call.cancel_result}, {CANCEL_RESULT_IN_WORDS[call.cancel_result]}"
    return _UNSETTLED_IN_WORDS.get(call.verdict.rule, "this does not settle the cancel")


def command_on(number: str, verb: str, *options: str, system: str | None) -> str:
    """Return the CLI command that applies `verb` to a settlement; the number is quoted for a POSIX shell.

    `system` is its external system; None if it is not known, and the number alone may be ambiguous.
    """
    quoted = shlex.quote(number)
    named = options if system is None else (f"--system {system}", *options)
    # Without `--` a number that starts with a dash would be read as an option.
    parts = [verb, *named, "--", quoted] if number.startswith("-") else [verb, quoted, *named]
    return " ".join(["settlement", *parts])
