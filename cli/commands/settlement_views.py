"""The views of a settlement: a row of a list, a summary, and all details."""

from cli.rendering import Block, Fields, Table
from contract.adjust import AdjustBody
from contract.path_segments import segment_of
from schemas.settlement import Settlement
from settlement.calls import CallRecord
from settlement.reply_record import ReplyRecord
from settlement.snapshot import OperatorAction

PREFIX = "/v1/settlements"

LIST_COLUMNS = (
    "requestUniqueNo",
    "system",
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


def path_of(number: str, *further: str, system: str | None) -> str:
    """Return the path of a settlement, or of one of its sub-resources, with the system in its query if it is known."""
    path = "/".join([PREFIX, segment_of(number), *further])
    return path if system is None else f"{path}?system={system}"


def list_row(settlement: Settlement) -> list[object]:
    """Return the row of a settlement for `LIST_COLUMNS`."""
    order = settlement.order
    return [
        settlement.request_unique_no,
        settlement.system,
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
    """Return the main fields of a settlement: state, decision, cause, amount and times."""
    message = settlement.broker_message
    return Fields(
        [
            ("requestUniqueNo", settlement.request_unique_no),
            ("state", settlement.state),
            ("decision", settlement.decision),
            ("cancelResult", settlement.cancel_result),
            ("cause", settlement.cause),
            ("reason", settlement.reason),
            ("brokerCode", message.code if message else None),
            ("brokerMessage", message.text if message else None),
            ("amount", settlement.order.amount),
            ("currency", settlement.order.currency),
            ("acceptedAt", settlement.accepted_at),
            ("decidedAt", settlement.decided_at),
            ("updatedAt", settlement.updated_at),
            ("temporalUiUrl", settlement.temporal_ui_url),
            *_four_eyes(settlement),
        ]
    )


def _four_eyes(settlement: Settlement) -> list[tuple[str, object]]:
    """Return the fields about the second operator, if a resolution needs one."""
    if not settlement.needs_second_operator:
        return []
    proposal = settlement.resolution_proposal
    return [
        ("needsSecondOperator", "true"),
        ("proposalNo", proposal and proposal.proposal_no),
        ("proposedBy", proposal and proposal.operator),
        ("proposedReason", proposal and proposal.reason_code),
        ("proposedReference", proposal and proposal.broker_reference),
    ]


def full_view(settlement: Settlement) -> list[Block]:
    """Return all details of a settlement: its fields, its order, states, calls, replies and operator actions."""
    by = settlement.submitted_by
    fields = [
        *summary(settlement).rows,
        ("companyId", settlement.company_id),
        ("system", settlement.system),
        ("client", by and by.client),
        ("keyId", by and by.key_id),
        ("trace", settlement.trace),
    ]
    shown = {name for name, _ in fields}
    fields += [(name, getattr(settlement.order, name)) for name in AdjustBody.model_fields if name not in shown]
    states = [(change.at, change.state, change.reason) for change in settlement.state_changes]
    actions = [_action_row(each) for each in settlement.operator_actions]
    replies = [(call, call.verdict.reply) for call in settlement.calls if call.verdict.reply is not None]
    return [
        Fields(fields),
        Table(("at", "state", "reason"), states, "states"),
        Table(_CALL_COLUMNS, [_call_row(call) for call in settlement.calls], "external calls"),
        Table(_REPLY_COLUMNS, [_reply_row(call, reply) for call, reply in replies], "replies"),
        Table(
            ("at", "act", "operator", "reasonCode", "note", "brokerReference", "batchId", "proposalNo", "keyId"),
            actions,
            "operator actions",
        ),
    ]


def _action_row(action: OperatorAction) -> list[object]:
    return [
        action.at,
        action.kind,
        action.operator,
        action.reason_code,
        action.note,
        action.broker_reference,
        action.batch_id,
        action.proposal_no,
        action.key_id,
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
        _json_bool(reply.ok),
        _json_bool(reply.fail),
        reply.data,
    ]


def _json_bool(value: bool | None) -> str | None:  # noqa: FBT001 - a value of the reply
    return None if value is None else str(value).lower()
