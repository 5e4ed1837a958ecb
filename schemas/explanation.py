"""A settlement's timeline in plain language: what was sent, what came back, by which rule, and what happens next."""

import shlex
from datetime import datetime

from contract.model import Model
from contract.operations import Operation
from schemas.settlement import filled_in, split_params
from settlement.calls import CallRecord, Phase, Rule
from settlement.states import CancelResult, Decision, Outcome, State


class TimelineEntry(Model):
    """One thing that happened."""

    at: datetime
    text: str


class NextStep(Model):
    """What happens next, by itself or by a person's hand."""

    text: str
    who: str
    """`nobody`, `automation` or `operator`."""
    at: datetime | None = None
    """When it is due by itself, at the latest; null where that is not known or nothing is due."""
    commands: tuple[str, ...] = ()
    """What an operator can do, as commands of the CLI."""


class Explanation(Model):
    """The whole story of one settlement."""

    request_unique_no: str
    state: State
    decision: Decision | None
    headline: str
    money: str
    """What the present state means for the money, in one sentence."""
    timeline: tuple[TimelineEntry, ...]
    next: NextStep
    temporal_ui_url: str | None


RULE_IN_WORDS: dict[Rule, str] = {
    Rule.CODE_SUCCESS: "a correct reply with code 0 came back",
    Rule.CODE_FAILURE: "a correct reply with a code of failure came back",
    Rule.DEADLINE: "no whole reply came back within the deadline",
    Rule.CONNECTION_BROKEN: "the connection broke after sending may have begun",
    Rule.HTTP_STATUS: "an HTTP status other than 200 came back",
    Rule.OVERSIZED: "a reply larger than the limit came back",
    Rule.UNREADABLE: "what came back was not a reply of the contract",
    Rule.CONTRADICTORY: "a reply that contradicts itself came back",
    Rule.FOREIGN_TRACE: "a reply with the trace of another request came back, so it does not answer this one",
    Rule.WORKER_LOST: "worker or workflow was lost, or failed, and nobody knows if it was sent and what came back",
    Rule.NOT_CONNECTED: "no connection could be made, so it was not sent",
    Rule.TOO_LATE: "it was too late to send it, so it was not sent",
    Rule.BULKHEAD_FULL: "as many adjusts of this company as may be were in flight already, so it was not sent",
}

PHASE_IN_WORDS: dict[Phase, str] = {
    Phase.QUEUE: "while it waited for a free connection",
    Phase.CONNECT: "while the connection was being made",
    Phase.FIRST_BYTE: "before the reply began",
    Phase.BODY: "in the middle of the reply",
}

CANCEL_RESULT_IN_WORDS: dict[CancelResult, str] = {
    CancelResult.REVERSED: "the amount was given back",
    CancelResult.NOT_APPLIED: "the adjust was received, but had not been applied",
    CancelResult.NEVER_RECEIVED: "the adjust was never received",
}

MONEY_IN_WORDS: dict[State, str] = {
    State.ADJUSTING: "Not known yet: the adjust may be on its way.",
    State.SETTLED: "The credit is adjusted, as the platform was told.",
    State.EXPIRED: "Nothing was sent; the external system holds nothing of this order.",
    State.CANCELLING: "The order is void; until the cancel is answered, the external system may still hold the amount.",
    State.CANCELLED: "The order is void and the external system is as it was before.",
    State.ABORTED: "In doubt: the order is void, but the external system may still hold the amount.",
    State.RESOLVED: "Closed by a person; where the money is, their reason and reference say.",
}

_ADJUST_CAME_TO: dict[Outcome, str] = {
    Outcome.APPLIED: "the credit is adjusted",
    Outcome.REJECTED: "it was refused",
    Outcome.UNKNOWN: "whether it was applied is not known",
    Outcome.NOT_SENT: "nothing left this side",
}


def call_in_words(call: CallRecord, money: str) -> str:
    """Say in one sentence what was sent, under which number, what came back and how that was classed."""
    sent = f"{_act(call)} {money} under number {call.request_unique_no}{_attempt(call)}"
    took = f" after {call.duration_ms} ms" if call.duration_ms is not None else ""
    came = RULE_IN_WORDS[call.verdict.rule]
    if call.verdict.phase is not None:
        came += f", {PHASE_IN_WORDS[call.verdict.phase]}"
    return (
        f"{sent}:{took} {came}{_reply(call)}.{_whose_time(call)} "
        f"So it is {call.verdict.outcome} by rule {call.verdict.rule}: {_so(call)}."
    )


def _act(call: CallRecord) -> str:
    if call.operation is Operation.ADJUST:
        return "adjust"
    return f"{call.operation.lower().replace('_', ' ')} ({(call.kind or 'FIRST').lower()})"


def _attempt(call: CallRecord) -> str:
    if call.operation is Operation.ADJUST:
        return ""
    return f", attempt {call.attempt}" + (f" of round {call.round + 1}" if call.round else "")


def _reply(call: CallRecord) -> str:
    said: list[tuple[str, object]] = [("HTTP status", call.verdict.http_status)]
    if (reply := call.verdict.reply) is not None:
        foreign = call.verdict.rule is Rule.FOREIGN_TRACE
        said += [("trace", reply.trace if foreign else None), ("bizCode", reply.biz_code or None)]
        said += [("code", reply.code), ("msg", filled_in(reply.msg or "", split_params(reply.msg_params)) or None)]
    words = [f"{name} {value}" for name, value in said if value is not None]
    return f" ({', '.join(words)})" if words else ""


def _whose_time(call: CallRecord) -> str:
    """Tell the external system's own time from the network's, as far as what it says can be."""
    tm = call.verdict.reply.tm if call.verdict.reply else None
    if tm is None or call.duration_ms is None:
        return ""
    if call.processing_ms is None:
        return f" Its own processing time (tm {tm} ms) is not plausible: the whole call took {call.duration_ms} ms."
    rest_ms = call.duration_ms - call.processing_ms
    return (
        f" The external system reports {tm} ms of its own (tm); the other {rest_ms} ms were the network and this side."
    )


def _so(call: CallRecord) -> str:
    if call.operation is Operation.ADJUST:
        return _ADJUST_CAME_TO[call.verdict.outcome]
    if call.cancel_result is not None:
        return f"{call.cancel_result}, {CANCEL_RESULT_IN_WORDS[call.cancel_result]}"
    return "no correct answer to a cancel"


def command_on(number: str, verb: str, *options: str) -> str:
    """Return a command on a settlement, with its number quoted for a POSIX shell."""
    word = shlex.quote(number)
    # A number that begins with a dash would be read as an option.
    parts = [verb, *options, "--", word] if number.startswith("-") else [verb, word, *options]
    return " ".join(["settlement", *parts])
