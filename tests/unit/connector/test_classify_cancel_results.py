"""Three replies are correct results of a cancel; any other reply, or none, means that the cancel is retried."""

import pytest

from connector.classify import cancel_result, classify
from connector.exchange import Exchange, NoReply, NotSent, Reply
from settlement.calls import Rule, Verdict
from settlement.reply_record import ReplyRecord
from settlement.states import CancelResult, Outcome

CORRECT = {
    "0": CancelResult.REVERSED,
    "US_0000001": CancelResult.NOT_APPLIED,
    "US_0000002": CancelResult.NEVER_RECEIVED,
}
OTHER_CODES = [
    "",
    "1",
    "00",
    "US_0000003",
    "US_000001",
    "us_0000001",
    "US_0000001 ",
    " US_0000002",
    "US_00000010",
    "E1",
]

TO_BE_RETRIED: dict[str, Exchange] = {
    "not connected": NotSent("refused"),
    "deadline": NoReply(deadline_passed=True, detail=""),
    "connection broken": NoReply(deadline_passed=False, detail=""),
    "HTTP 500 with a correct reply": Reply(500, b'{"code":"0"}'),
    "HTTP 202 with a correct reply": Reply(202, b'{"code":"US_0000001"}'),
    "HTTP 404": Reply(404, b""),
    "oversized": Reply(200, b'{"code":"0"}', oversized=True),
    "empty": Reply(200, b""),
    "not JSON": Reply(200, b"US_0000001"),
    "number": Reply(200, b'{"code":0}'),
    "null": Reply(200, b'{"code":null}'),
    "contradictory success": Reply(200, b'{"code":"0","ok":false}'),
    "contradictory not applied": Reply(200, b'{"code":"US_0000001","ok":true}'),
    "contradictory never received": Reply(200, b'{"code":"US_0000002","fail":false}'),
    "code twice": Reply(200, b'{"code":"US_0000001","code":"US_0000002"}'),
}


@pytest.mark.parametrize(("code", "result"), CORRECT.items())
@pytest.mark.parametrize("rest", ["", ',"ok":null,"fail":null', ',"msg":"x","data":{}'], ids=["alone", "nulls", "more"])
def test_three_replies_are_correct(code: str, result: CancelResult, rest: str) -> None:
    assert cancel_result(classify(Reply(200, f'{{"code":"{code}"{rest}}}'.encode()))) is result


@pytest.mark.parametrize(("code", "result"), CORRECT.items())
def test_correct_reply_agrees_with_ok_and_fail(code: str, result: CancelResult) -> None:
    ok, fail = ("true", "false") if code == "0" else ("false", "true")
    assert cancel_result(classify(Reply(200, f'{{"code":"{code}","ok":{ok},"fail":{fail}}}'.encode()))) is result


@pytest.mark.parametrize("code", OTHER_CODES)
def test_any_other_code_is_retried(code: str) -> None:
    assert cancel_result(classify(Reply(200, f'{{"code":"{code}"}}'.encode()))) is None


@pytest.mark.parametrize("exchange", TO_BE_RETRIED.values(), ids=TO_BE_RETRIED)
def test_every_other_exchange_is_retried(exchange: Exchange) -> None:
    assert cancel_result(classify(exchange)) is None


@pytest.mark.parametrize("code", [*CORRECT, "E1", None])
@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.NOT_SENT])
def test_code_of_an_untrusted_reply_is_not_a_result(outcome: Outcome, code: str | None) -> None:
    """The audit records the code of a contradictory reply; the compensation must not use it."""
    reply = None if code is None else ReplyRecord(code=code)
    assert cancel_result(Verdict(outcome=outcome, rule=Rule.CONTRADICTORY, reply=reply)) is None


def test_verdict_without_a_reply_is_not_a_result() -> None:
    assert cancel_result(Verdict(outcome=Outcome.REJECTED, rule=Rule.CODE_FAILURE)) is None
