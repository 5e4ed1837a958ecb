"""Codes and statuses that the configuration declares, and `Retry-After`."""

import pytest

from connector import CallHeaders, ExternalSystem, ExternalSystemConfig
from connector.classify import cancel_result, classify, with_declared_meaning
from connector.exchange import Reply
from contract.cancel_adjust import CancelAdjustBody
from settlement.calls import Rule, Verdict
from settlement.code_meanings import RESULT_OF_RULE, VERDICT_OF_MEANING, CodeMeaning
from settlement.states import CancelResult, Outcome
from tests.unit.connector.raw_broker import LONG_DEADLINES, ORDER, adjust, broker, closing_after, reply, sending

APPLIED, REJECTED, UNKNOWN = Outcome.APPLIED, Outcome.REJECTED, Outcome.UNKNOWN
MEANINGS = {f"E-{meaning}": meaning for meaning in CodeMeaning}
EXPECTED = {
    CodeMeaning.REVERSED: (APPLIED, Rule.CODE_MEANS_REVERSED, CancelResult.REVERSED),
    CodeMeaning.NOT_APPLIED: (REJECTED, Rule.CODE_MEANS_NOT_APPLIED, CancelResult.NOT_APPLIED),
    CodeMeaning.NEVER_RECEIVED: (REJECTED, Rule.CODE_MEANS_NEVER_RECEIVED, CancelResult.NEVER_RECEIVED),
    CodeMeaning.IN_PROCESS: (REJECTED, Rule.CODE_MEANS_IN_PROCESS, None),
    CodeMeaning.REFUSED: (REJECTED, Rule.CODE_MEANS_REFUSED, None),
}
BUSINESS = frozenset({400, 409})


def declared(content: bytes, status: int = 200) -> Verdict:
    """Return the verdict on a reply to a cancel."""
    return with_declared_meaning(classify(Reply(status, content), "mine", BUSINESS), MEANINGS)


def test_every_meaning_has_its_verdict() -> None:
    assert set(VERDICT_OF_MEANING) == set(CodeMeaning) == set(EXPECTED)
    assert {rule for _, rule, result in EXPECTED.values() if result} == set(RESULT_OF_RULE)


@pytest.mark.parametrize("meaning", CodeMeaning)
def test_a_declared_code_has_its_meaning(meaning: CodeMeaning) -> None:
    verdict = declared(f'{{"code":"E-{meaning}","ok":false}}'.encode())
    assert (verdict.outcome, verdict.rule, cancel_result(verdict)) == EXPECTED[meaning]


@pytest.mark.parametrize("code", ["E-reversed2", "e-reversed", " E-reversed", "E-reversed\\u200b", "E1", ""])
def test_any_other_code_keeps_the_meaning_of_the_contract(code: str) -> None:
    verdict = declared(f'{{"code":"{code}"}}'.encode())
    assert (verdict.outcome, verdict.rule, cancel_result(verdict)) == (REJECTED, Rule.CODE_FAILURE, None)


def test_a_declared_code_in_a_reply_that_is_not_trusted_has_no_meaning() -> None:
    """A declared code is still a code of failure, so ok must not contradict it."""
    for content in (b'{"code":"E-reversed","ok":true}', b'{"code":"E-reversed","trace":"theirs"}'):
        verdict = declared(content)
        assert (verdict.outcome, cancel_result(verdict)) == (UNKNOWN, None)
    assert declared(b'{"code":"E-reversed"}', 500).rule is Rule.HTTP_STATUS


@pytest.mark.parametrize("status", sorted(BUSINESS))
def test_a_reply_of_failure_under_a_business_status_is_read_as_under_200(status: int) -> None:
    for content in (b'{"code":"E1"}', b'{"code":"US_0000001"}', b'{"code":"E-reversed"}', b'{"code":"E1","ok":true}'):
        verdict, usual = declared(content, status), declared(content)
        assert (verdict.outcome, verdict.rule, verdict.reply) == (usual.outcome, usual.rule, usual.reply)
        assert (verdict.http_status, cancel_result(verdict)) == (status, cancel_result(usual))


@pytest.mark.parametrize("status", sorted(BUSINESS))
def test_code_0_under_a_business_status_is_contradictory(status: int) -> None:
    verdict = declared(b'{"code":"0","ok":true,"fail":false}', status)
    assert (verdict.outcome, verdict.rule) == (UNKNOWN, Rule.CONTRADICTORY)
    assert verdict.detail == f"code '0' with HTTP status {status}"
    assert cancel_result(verdict) is None


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"ok":false}', b'{"code":1}', b'{"code":"1","code":"2"}'])
def test_anything_else_under_a_business_status_has_only_its_status(content: bytes) -> None:
    verdict = declared(content, 409)
    assert (verdict.outcome, verdict.rule, verdict.reply) == (UNKNOWN, Rule.HTTP_STATUS, None)


@pytest.mark.parametrize(("status", "seconds"), [(429, 7), (503, 7), (500, None), (404, None), (302, None)])
def test_retry_after_counts_only_under_429_and_503(status: int, seconds: int | None) -> None:
    assert classify(Reply(status, b"", retry_after_s=7)).retry_after_s == seconds


def test_retry_after_of_a_correct_reply_does_not_count() -> None:
    assert classify(Reply(200, b'{"code":"E1"}', retry_after_s=7)).retry_after_s is None


async def cancel(system: ExternalSystem) -> Verdict:
    """Send one cancel of ORDER."""
    body = CancelAdjustBody.undoing(ORDER, number="C-1", request_time_ms=1_760_000_000_000, remark="why")
    return await system.cancel_adjust(body, CallHeaders(trace="t-1"), LONG_DEADLINES)


async def test_codes_concern_cancels_only_and_the_configuration_is_read_at_each_call() -> None:
    failure = b'{"code":"E-reversed","ok":false,"fail":true}'
    async with broker(sending(reply(failure))) as served:
        async with ExternalSystem(ExternalSystemConfig(served.url)) as before:
            assert (await cancel(before)).rule is Rule.CODE_FAILURE
        async with ExternalSystem(ExternalSystemConfig(served.url, codes=MEANINGS)) as corrected:
            assert (await cancel(corrected)).rule is Rule.CODE_MEANS_REVERSED
            assert (await adjust(corrected)).rule is Rule.CODE_FAILURE


async def test_retry_after_reaches_the_verdict() -> None:
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 12\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with (
        broker(closing_after(busy)) as served,
        ExternalSystem(ExternalSystemConfig(served.url)) as system,
    ):
        verdict = await cancel(system)
    assert (verdict.rule, verdict.http_status, verdict.retry_after_s) == (Rule.HTTP_STATUS, 429, 12)
