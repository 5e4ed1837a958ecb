"""Classifies the result of a call. Pure: the same exchange always gives the same verdict.

The rules (docs/contract.md#outcomes):

- APPLIED: HTTP 200 and a reply of table 4 with code "0", with which ok and fail, if present, agree.
- REJECTED: a well-formed reply with another code, also under a business status of the configuration.
- NOT_SENT: the request was certainly not sent.
- UNKNOWN: everything else. It is the default.
"""

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import ValidationError

from connector.exchange import Exchange, NoReply, NotSent, Reply
from contract.operations import CODE_NEVER_RECEIVED, CODE_NOT_APPLIED, CODE_SUCCESS, ExternalReply
from contract.strict_json import RepeatedNameError, member_text, strict_json
from settlement.calls import DETAIL_LENGTH_MAX, Rule, Verdict
from settlement.code_meanings import RESULT_OF_RULE, VERDICT_OF_MEANING, CodeMeaning
from settlement.reply_record import ReplyRecord, printable
from settlement.states import CancelResult, Outcome

_EXCERPT_BYTES = 120
_ASKS_TO_WAIT = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
"""The statuses whose `Retry-After` counts."""
NO_STATUSES: frozenset[int] = frozenset()

_RESULT_OF_CODE = {
    CODE_SUCCESS: CancelResult.REVERSED,
    CODE_NOT_APPLIED: CancelResult.NOT_APPLIED,
    CODE_NEVER_RECEIVED: CancelResult.NEVER_RECEIVED,
}


def classify(
    exchange: Exchange, own_trace: str | None = None, business_statuses: frozenset[int] = NO_STATUSES
) -> Verdict:
    """Return the verdict on one exchange of any of the three operations.

    `own_trace` is the trace of the request. A reply with another trace belongs to another request
    (docs/contract.md#table-4) and is UNKNOWN, whatever it contains. A reply with no trace, a null or an empty one is
    accepted. If `own_trace` is None, traces are not compared (`TraceCheck.IGNORE`).

    Under one of the `business_statuses` a well-formed reply is read as under 200, except that code 0 contradicts it.
    """
    match exchange:
        case NotSent(detail, phase):
            return Verdict(outcome=Outcome.NOT_SENT, rule=Rule.NOT_CONNECTED, detail=_detail(detail), phase=phase)
        case NoReply(deadline_passed, detail, phase):
            rule = Rule.DEADLINE if deadline_passed else Rule.CONNECTION_BROKEN
            return Verdict(outcome=Outcome.UNKNOWN, rule=rule, detail=_detail(detail), phase=phase)
        case Reply() as reply:
            if reply.status in business_statuses:
                return _classify_business_reply(reply, own_trace)
            return _classify_reply(reply, own_trace)


def with_declared_meaning(verdict: Verdict, meanings: Mapping[str, CodeMeaning]) -> Verdict:
    """Return the verdict on a cancel with the meaning that the configuration declares for its code, if any.

    Not for adjusts. The audit's text of a code is compared: it equals the received code wherever that can be declared.
    """
    meaning = meanings.get(verdict.reply.code) if verdict.reply is not None else None
    if verdict.rule is not Rule.CODE_FAILURE or meaning is None:
        return verdict
    outcome, rule = VERDICT_OF_MEANING[meaning]
    return verdict.model_copy(update={"outcome": outcome, "rule": rule})


def cancel_result(verdict: Verdict) -> CancelResult | None:
    """Return which of the three correct cancel replies this is; None: the reply does not settle the cancel.

    See docs/contract.md#cancel-replies. A code with a declared meaning counts as that reply.
    """
    if verdict.outcome not in {Outcome.APPLIED, Outcome.REJECTED} or verdict.reply is None:
        return None
    return RESULT_OF_RULE.get(verdict.rule) or _RESULT_OF_CODE.get(verdict.reply.code)


def _classify_reply(reply: Reply, own_trace: str | None) -> Verdict:
    if reply.status != HTTPStatus.OK:
        return _wrong_status(reply)
    return _classify_content(reply, own_trace)


def _classify_business_reply(reply: Reply, own_trace: str | None) -> Verdict:
    """Classify a reply under a business status. One that is not a reply of table 4 has only its status."""
    verdict = _classify_content(reply, own_trace)
    if verdict.reply is None:
        return _wrong_status(reply)
    if verdict.outcome is Outcome.APPLIED:
        return _unknown(Rule.CONTRADICTORY, f"code '0' with HTTP status {reply.status}", reply, verdict.reply)
    return verdict


def _wrong_status(reply: Reply) -> Verdict:
    verdict = _unknown(Rule.HTTP_STATUS, f"HTTP status {reply.status}", reply)
    if reply.status not in _ASKS_TO_WAIT:
        return verdict
    return verdict.model_copy(update={"retry_after_s": reply.retry_after_s})


def _classify_content(reply: Reply, own_trace: str | None) -> Verdict:
    if reply.oversized:
        return _unknown(Rule.OVERSIZED, f"reply larger than {len(reply.body)} bytes", reply)
    try:
        parsed, record = _parse(reply.body)
    except RepeatedNameError as error:
        return _unknown(Rule.CONTRADICTORY, str(error), reply)
    except (ValidationError, ValueError, RecursionError) as error:
        return _unknown(Rule.UNREADABLE, f"{_why_unreadable(error)}; begins {_excerpt(reply.body)}", reply)
    if own_trace is not None and parsed.trace and parsed.trace != own_trace:
        return _unknown(Rule.FOREIGN_TRACE, "the reply carries another trace than the request", reply, record)
    return _classify_parsed(parsed, reply, record)


def _classify_parsed(parsed: ExternalReply, reply: Reply, record: ReplyRecord) -> Verdict:
    if not parsed.is_consistent():
        detail = f"code {record.code!r} with ok={parsed.ok} and fail={parsed.fail}"
        return _unknown(Rule.CONTRADICTORY, detail, reply, record)
    applied = parsed.code == CODE_SUCCESS
    return Verdict(
        outcome=Outcome.APPLIED if applied else Outcome.REJECTED,
        rule=Rule.CODE_SUCCESS if applied else Rule.CODE_FAILURE,
        detail=_detail(f"code {record.code!r}"),
        http_status=reply.status,
        reply=record,
    )


def _parse(body: bytes) -> tuple[ExternalReply, ReplyRecord]:
    """Parse a reply, and build its record for the audit. Raises ValueError or RecursionError if it is not a reply."""
    parsed = ExternalReply.model_validate(strict_json(body))
    data = None if parsed.data is None else member_text(body, "data")
    return parsed, ReplyRecord.of(parsed, data)


def _why_unreadable(error: Exception) -> str:
    if isinstance(error, ValidationError):
        fields = ", ".join(str(each["loc"][0]) if each["loc"] else "the whole" for each in error.errors())
        return f"not a reply of table 4: {fields}"
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON"


def _excerpt(body: bytes) -> str:
    return repr(body[:_EXCERPT_BYTES].decode(errors="replace"))


def _unknown(rule: Rule, detail: str, reply: Reply, record: ReplyRecord | None = None) -> Verdict:
    return Verdict(outcome=Outcome.UNKNOWN, rule=rule, detail=_detail(detail), http_status=reply.status, reply=record)


def _detail(text: str) -> str:
    return printable(text, DETAIL_LENGTH_MAX)
