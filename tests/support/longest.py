"""Records, acts and orders with the longest texts that their fields allow, in characters of three bytes each."""

from datetime import UTC, datetime

from contract.adjust import AdjustBody
from contract.fields import AMOUNT_LENGTH_MAX, INT64_MIN, REMARK_LENGTH_MAX, UNIQUE_NO_LENGTH_MAX
from contract.operations import Operation
from settlement.calls import DETAIL_LENGTH_MAX, CallRecord, Phase, Rule, Verdict
from settlement.ids import CancelKind
from settlement.operator_rules import NOTE_LENGTH_MAX, RetryReason
from settlement.reply_record import CODE_LENGTH_MAX, DATA_LENGTH_MAX, MSG_LENGTH_MAX, TRACE_LENGTH_MAX, ReplyRecord
from settlement.snapshot import ActionKind, OperatorAction, OperatorRequest, ResolutionProposal
from settlement.start import SettlementInput
from settlement.states import Outcome
from tests.support.orders import QUICK_POLICY

AT = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)


def longest(length: int) -> str:
    """Return a text of the greatest size that a text of this length can have in an audit."""
    return "\u4f59" * length


LONGEST_VERDICT = Verdict(
    outcome=Outcome.UNKNOWN,
    rule=Rule.CONNECTION_BROKEN,
    detail=longest(DETAIL_LENGTH_MAX),
    http_status=503,
    retry_after_s=86_400,
    reply=ReplyRecord(
        biz_code=longest(CODE_LENGTH_MAX),
        code=longest(CODE_LENGTH_MAX),
        msg=longest(MSG_LENGTH_MAX),
        tm=INT64_MIN,
        trace=longest(TRACE_LENGTH_MAX),
        msg_params=longest(MSG_LENGTH_MAX),
        data=longest(DATA_LENGTH_MAX),
        ok=False,
        fail=False,
    ),
    phase=Phase.FIRST_BYTE,
)
LONGEST_CALL = CallRecord(
    operation=Operation.CANCEL_OPERATION,
    kind=CancelKind.CONFIRMING,
    request_unique_no=longest(UNIQUE_NO_LENGTH_MAX),
    round=2**31,
    attempt=2**31,
    sent_at=AT,
    duration_ms=2**31,
    verdict=LONGEST_VERDICT,
)
LONGEST_RETRY = OperatorRequest(
    operator=longest(64),
    reason_code=RetryReason.BROKER_RECOVERED,
    note=longest(NOTE_LENGTH_MAX),
    broker_reference=longest(NOTE_LENGTH_MAX),
)
LONGEST_ACT = OperatorAction(kind=ActionKind.WORKFLOW_CANCELLATION, at=AT, **LONGEST_RETRY.model_dump())
LONGEST_PROPOSAL = ResolutionProposal(
    proposal_no=2**31,
    operator=longest(64),
    key_id="f" * 16,
    reason_code=RetryReason.BROKER_RECOVERED,
    note=longest(NOTE_LENGTH_MAX),
    broker_reference=longest(NOTE_LENGTH_MAX),
    at=AT,
)
LONGEST_SETTLEMENT = SettlementInput(
    adjust=AdjustBody(
        thirdServerCode=longest(256),
        userName=longest(48),
        currency="USD",
        bizType=12,
        operationType="ABNORMAL_OVERTRADING",
        amountDigits=18,
        amount="-" + "9" * (AMOUNT_LENGTH_MAX - 1),
        orderId=INT64_MIN,
        requestUniqueNo=longest(UNIQUE_NO_LENGTH_MAX),
        requestTime=9_999_999_999_999,
        ip="ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
        metadata=longest(REMARK_LENGTH_MAX),
    ),
    trace="t" * 128,
    company_id=INT64_MIN,
    accepted_at=AT,
    policy=QUICK_POLICY,
    four_eyes_above="9" * AMOUNT_LENGTH_MAX,
)
