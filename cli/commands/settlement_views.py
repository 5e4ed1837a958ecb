"""How a settlement is shown: in a list, and whole."""

from cli.rendering import Block, Fields, Table
from contract.adjust import AdjustBody
from contract.path_segments import segment_of
from schemas.settlement import Settlement
from settlement.calls import CallRecord
from settlement.reply_record import ReplyRecord

PREFIX = "/v1/settlements"

LIST_COLUMNS = (
    "requestUniqueNo",
    "state",
    "decision",
    "cancelResult",
    "cause",
    "amount",
    "currency",
    "companyId",
    "orderId",
    "acceptedAt",
)
_CALL_COLUMNS = (
    "sentAt",
    "operation",
    "requestUniqueNo",
    "round",
    "attempt",
    "ms",
    "outcome",
    "rule",
    "HTTP",
    "code",
    "cancelResult",
    "detail",
)

_REPLY_COLUMNS = ("sentAt", "operation", "bizCode", "code", "msg", "msgParams", "tm", "trace", "ok", "fail", "data")


def path_of(number: str, *further: str) -> str:
    """Return the path of a settlement, or of something beneath it."""
    return "/".join([PREFIX, segment_of(number), *further])


def list_row(settlement: Settlement) -> list[object]:
    """Return a settlement's row under `LIST_COLUMNS`."""
    order = settlement.order
    return [
        settlement.request_unique_no,
        settlement.state,
        settlement.decision,
        settlement.cancel_result,
        settlement.cause,
        order.amount,
        order.currency,
        settlement.company_id,
        order.orderId,
        settlement.accepted_at,
    ]


def summary(settlement: Settlement) -> Fields:
    """Return where a settlement stands."""
    said = settlement.broker_message
    return Fields(
        [
            ("requestUniqueNo", settlement.request_unique_no),
            ("state", settlement.state),
            ("decision", settlement.decision),
            ("cancelResult", settlement.cancel_result),
            ("cause", settlement.cause),
            ("reason", settlement.reason),
            ("brokerCode", said.code if said else None),
            ("brokerMessage", said.text if said else None),
            ("amount", settlement.order.amount),
            ("currency", settlement.order.currency),
            ("acceptedAt", settlement.accepted_at),
            ("decidedAt", settlement.decided_at),
            ("updatedAt", settlement.updated_at),
            ("temporalUiUrl", settlement.temporal_ui_url),
        ]
    )


def whole(settlement: Settlement) -> list[Block]:
    """Return all there is to know of a settlement: it, its order, calls, acts and states."""
    fields = [*summary(settlement).rows, ("companyId", settlement.company_id), ("trace", settlement.trace)]
    known = {name for name, _ in fields}
    fields += [(name, getattr(settlement.order, name)) for name in AdjustBody.model_fields if name not in known]
    states = [(change.at, change.state, change.reason) for change in settlement.state_changes]
    acts = [
        (act.at, act.kind, act.operator, act.reason_code, act.note, act.broker_reference, act.batch_id)
        for act in settlement.operator_actions
    ]
    replies = [(call, call.verdict.reply) for call in settlement.calls if call.verdict.reply is not None]
    return [
        Fields(fields),
        Table(("at", "state", "reason"), states, "states"),
        Table(_CALL_COLUMNS, [_call_row(call) for call in settlement.calls], "external calls"),
        Table(_REPLY_COLUMNS, [_reply_row(call, reply) for call, reply in replies], "replies"),
        Table(("at", "act", "operator", "reasonCode", "note", "brokerReference", "batchId"), acts, "operator acts"),
    ]


def _call_row(call: CallRecord) -> list[object]:
    verdict = call.verdict
    return [
        call.sent_at,
        call.operation,
        call.request_unique_no,
        call.round,
        call.attempt,
        call.duration_ms,
        verdict.outcome,
        verdict.rule,
        verdict.http_status,
        verdict.reply.code if verdict.reply else None,
        call.cancel_result,
        verdict.detail,
    ]


def _reply_row(call: CallRecord, reply: ReplyRecord) -> list[object]:
    return [
        call.sent_at,
        call.operation,
        reply.biz_code,
        reply.code,
        reply.msg,
        reply.msg_params,
        reply.tm,
        reply.trace,
        _as_json(reply.ok),
        _as_json(reply.fail),
        reply.data,
    ]


def _as_json(value: bool | None) -> str | None:  # noqa: FBT001 - a value of the reply
    return None if value is None else str(value).lower()
