"""Classifies the result of a call. Pure: the same exchange always gives the same verdict.

The rules (docs/contract.md#outcomes):

- APPLIED: HTTP 200 and a reply of table 4 with code "0", with which ok and fail, if present, agree.
- REJECTED: a well-formed reply with another code.
- NOT_SENT: the request was certainly not sent.
- UNKNOWN: everything else. It is the default.
"""

from http import HTTPStatus

from pydantic import ValidationError

from connector.exchange import Exchange, NoReply, NotSent, Reply
from contract.operations import CODE_NEVER_RECEIVED, CODE_NOT_APPLIED, CODE_SUCCESS, ExternalReply
from contract.strict_json import RepeatedNameError, member_text, strict_json
from settlement.calls import DETAIL_LENGTH_MAX, Rule, Verdict
from settlement.reply_record import ReplyRecord, printable
from settlement.states import CancelResult, Outcome

_EXCERPT_BYTES = 120

_RESULT_OF_CODE = {
    CODE_SUCCESS: CancelResult.REVERSED,
    CODE_NOT_APPLIED: CancelResult.NOT_APPLIED,
    CODE_NEVER_RECEIVED: CancelResult.NEVER_RECEIVED,
}


def classify(exchange: Exchange, own_trace: str | None = None) -> Verdict:
    """Return the verdict on one exchange of any of the three operations.

    `own_trace` is the trace of the request. A reply with another trace belongs to another request
    (docs/contract.md#table-4) and is UNKNOWN, whatever it contains. A reply with no trace, a null or an empty one is
    accepted. If `own_trace` is None, traces are not compared (`TraceCheck.IGNORE`).
    """
    match exchange:
        case NotSent(detail, phase):
            return Verdict(outcome=Outcome.NOT_SENT, rule=Rule.NOT_CONNECTED, detail=_detail(detail), phase=phase)
        case NoReply(deadline_passed, detail, phase):
            rule = Rule.DEADLINE if deadline_passed else Rule.CONNECTION_BROKEN
            return Verdict(outcome=Outcome.UNKNOWN, rule=rule, detail=_detail(detail), phase=phase)
        case Reply() as reply:
            return _classify_reply(reply, own_trace)


def cancel_result(verdict: Verdict) -> CancelResult | None:
    """Return which of the three correct cancel replies this is; None: retry the cancel.

    See docs/contract.md#cancel-replies.
    """
    if verdict.outcome not in {Outcome.APPLIED, Outcome.REJECTED} or verdict.reply is None:
        return None
    return _RESULT_OF_CODE.get(verdict.reply.code)


def _classify_reply(reply: Reply, own_trace: str | None) -> Verdict:
    if reply.status != HTTPStatus.OK:
        return _unknown(Rule.HTTP_STATUS, f"HTTP status {reply.status}", reply)
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
