"""One row for every rule that decides the outcome of a call."""

import pytest

from connector.classify import classify
from connector.exchange import Exchange, NoReply, NotSent, Reply
from settlement.calls import Rule, Verdict
from settlement.code_meanings import VERDICT_OF_MEANING
from settlement.reply_record import ReplyRecord
from settlement.states import Outcome

APPLIED, REJECTED, UNKNOWN, NOT_SENT = Outcome.APPLIED, Outcome.REJECTED, Outcome.UNKNOWN, Outcome.NOT_SENT

OUTCOMES: dict[str, tuple[Exchange, Outcome, Rule]] = {
    "code 0 alone": (Reply(200, b'{"code":"0"}'), APPLIED, Rule.CODE_SUCCESS),
    "code 0, ok": (Reply(200, b'{"code":"0","ok":true}'), APPLIED, Rule.CODE_SUCCESS),
    "code 0, not fail": (Reply(200, b'{"code":"0","fail":false}'), APPLIED, Rule.CODE_SUCCESS),
    "code 0, ok and not fail": (Reply(200, b'{"code":"0","ok":true,"fail":false}'), APPLIED, Rule.CODE_SUCCESS),
    "another code": (Reply(200, b'{"code":"E1"}'), REJECTED, Rule.CODE_FAILURE),
    "another code, fail": (Reply(200, b'{"code":"E1","ok":false,"fail":true}'), REJECTED, Rule.CODE_FAILURE),
    "adjust answered like a cancel": (Reply(200, b'{"code":"US_0000001"}'), REJECTED, Rule.CODE_FAILURE),
    "deadline": (NoReply(deadline_passed=True, detail="no reply"), UNKNOWN, Rule.DEADLINE),
    "connection broken": (NoReply(deadline_passed=False, detail="reset"), UNKNOWN, Rule.CONNECTION_BROKEN),
    "HTTP status": (Reply(500, b'{"code":"0"}'), UNKNOWN, Rule.HTTP_STATUS),
    "oversized": (Reply(200, b'{"code":"0"}', oversized=True), UNKNOWN, Rule.OVERSIZED),
    "not JSON": (Reply(200, b"<html>OK</html>"), UNKNOWN, Rule.UNREADABLE),
    "not table 4": (Reply(200, b'{"ok":true}'), UNKNOWN, Rule.UNREADABLE),
    "contradictory": (Reply(200, b'{"code":"0","ok":false}'), UNKNOWN, Rule.CONTRADICTORY),
    "a field twice": (Reply(200, b'{"code":"1","code":"0"}'), UNKNOWN, Rule.CONTRADICTORY),
    "another trace": (Reply(200, b'{"code":"0","trace":"theirs"}'), UNKNOWN, Rule.FOREIGN_TRACE),
    "never connected": (NotSent("refused"), NOT_SENT, Rule.NOT_CONNECTED),
}

OF_DECLARED_CODES = {rule for _, rule in VERDICT_OF_MEANING.values()} | {Rule.IN_PROCESS_TOO_LONG}
NOT_OF_CLASSIFY = {
    *(Rule.WORKER_LOST, Rule.NOT_CONFIGURED, Rule.TOO_LATE, Rule.BULKHEAD_FULL),
    *(Rule.IN_FLIGHT_LIMIT, Rule.RATE_LIMIT, Rule.BREAKER_OPEN),
    *OF_DECLARED_CODES,
}
"""Rules that only the activities can apply, or that need the configuration (`test_classify_declared.py`)."""


def outcome_and_rule(exchange: Exchange) -> tuple[Outcome, Rule]:
    """Return outcome and rule of an exchange."""
    verdict = classify(exchange, "mine")
    return verdict.outcome, verdict.rule


@pytest.mark.parametrize(("exchange", "outcome", "rule"), OUTCOMES.values(), ids=OUTCOMES)
def test_exchange_has_its_outcome_and_rule(exchange: Exchange, outcome: Outcome, rule: Rule) -> None:
    assert outcome_and_rule(exchange) == (outcome, rule)


def test_every_rule_of_classify_has_a_row() -> None:
    assert {rule for _, _, rule in OUTCOMES.values()} == set(Rule) - NOT_OF_CLASSIFY


def test_each_rule_has_one_outcome() -> None:
    assert len({(outcome, rule) for _, outcome, rule in OUTCOMES.values()}) == len(set(Rule) - NOT_OF_CLASSIFY)


@pytest.mark.parametrize("status", [status for status in range(100, 600) if status != 200])
def test_every_status_but_200_is_unknown(status: int) -> None:
    """Other 2xx statuses and redirects too, whatever the body contains."""
    for body in (b'{"code":"0","ok":true,"fail":false}', b'{"code":"E1"}', b""):
        verdict = classify(Reply(status, body))
        assert (verdict.outcome, verdict.rule, verdict.http_status) == (UNKNOWN, Rule.HTTP_STATUS, status)
        assert verdict.reply is None


@pytest.mark.parametrize("fail", [None, True, False])
@pytest.mark.parametrize("ok", [None, True, False])
@pytest.mark.parametrize("code", ["0", "E1", ""])
def test_reply_is_unknown_if_ok_or_fail_disagrees_with_the_code(
    *, code: str, ok: bool | None, fail: bool | None
) -> None:
    words = {None: "null", True: "true", False: "false"}
    body = f'{{"code":"{code}","ok":{words[ok]},"fail":{words[fail]}}}'.encode()
    success = code == "0"
    if ok is (not success) or fail is success:
        assert outcome_and_rule(Reply(200, body)) == (UNKNOWN, Rule.CONTRADICTORY)
    else:
        expected = (APPLIED, Rule.CODE_SUCCESS) if success else (REJECTED, Rule.CODE_FAILURE)
        assert outcome_and_rule(Reply(200, body)) == expected


def test_success_verdict_contains_what_the_audit_needs() -> None:
    verdict = classify(Reply(200, b'{"code":"0","msg":"done","trace":"t-1","tm":12}'))
    reply = ReplyRecord(code="0", msg="done", trace="t-1", tm=12)
    assert verdict == Verdict(outcome=APPLIED, rule=Rule.CODE_SUCCESS, detail="code '0'", http_status=200, reply=reply)


def test_contradictory_verdict_names_the_contradiction() -> None:
    verdict = classify(Reply(200, b'{"code":"0","ok":false,"fail":true,"msg":"no"}'))
    assert verdict.detail == "code '0' with ok=False and fail=True"
    assert verdict.reply == ReplyRecord(code="0", msg="no", ok=False, fail=True)
    assert verdict.http_status == 200


def test_empty_texts_are_kept() -> None:
    body = b'{"code":"","bizCode":"","msg":"","trace":"","msgParams":""}'
    assert classify(Reply(200, body)).reply == ReplyRecord(code="", biz_code="", msg="", trace="", msg_params="")


def test_oversized_reply_is_not_parsed_even_if_the_part_read_is_json() -> None:
    verdict = classify(Reply(200, b'{"code":"0"}' + b" " * 100, oversized=True))
    assert (verdict.outcome, verdict.detail) == (UNKNOWN, "reply larger than 112 bytes")


@pytest.mark.parametrize("exchange", [each for each, _, _ in OUTCOMES.values()], ids=OUTCOMES)
def test_same_exchange_always_gives_the_same_verdict(exchange: Exchange) -> None:
    assert classify(exchange) == classify(exchange)
