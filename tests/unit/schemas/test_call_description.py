"""The description of one external call: its reply, and where the time was spent."""

from datetime import UTC, datetime

import pytest

from contract.operations import Operation
from schemas.explanation import call_in_words
from settlement.calls import CallRecord, Rule, Verdict
from settlement.reply_record import ReplyRecord
from settlement.states import Outcome


def described(reply: ReplyRecord | None, duration_ms: int | None = 45, rule: Rule = Rule.CODE_FAILURE) -> str:
    """Return the description of an adjust with this reply."""
    verdict = Verdict(outcome=Outcome.REJECTED, rule=rule, http_status=200, reply=reply)
    at = datetime(2026, 1, 5, tzinfo=UTC)
    call = CallRecord(
        operation=Operation.ADJUST, request_unique_no="N", sent_at=at, duration_ms=duration_ms, verdict=verdict
    )
    return call_in_words(call, "12.50 USD")


def test_the_message_of_the_reply_is_filled_in() -> None:
    reply = ReplyRecord(biz_code="PAY", code="E17", msg="no {0}", msg_params="credit", trace="t-1", data="{}")
    assert "(after 45 ms, HTTP status 200, bizCode PAY, code E17, msg no credit)" in described(reply)


def test_a_foreign_trace_is_shown() -> None:
    text = described(ReplyRecord(code="0", trace="theirs"), rule=Rule.FOREIGN_TRACE)
    assert "(after 45 ms, HTTP status 200, trace theirs, code 0)" in text


@pytest.mark.parametrize(("tm", "rest_ms"), [(0, 45), (12, 33), (45, 0)])
def test_the_processing_time_is_separated_from_the_rest(tm: int, rest_ms: int) -> None:
    text = described(ReplyRecord(code="E1", tm=tm))
    assert f"reports a processing time of {tm} ms (tm); the other {rest_ms} ms were spent in the network" in text


@pytest.mark.parametrize("tm", [-1, 46, 2**63 - 1, -(2**63)])
def test_an_impossible_processing_time_is_called_not_plausible(tm: int) -> None:
    text = described(ReplyRecord(code="E1", tm=tm))
    assert f"processing time of {tm} ms (tm), which is not plausible: the whole call took 45 ms." in text


@pytest.mark.parametrize(
    ("reply", "duration_ms"), [(None, 45), (ReplyRecord(code="E1"), 45), (ReplyRecord(code="E1", tm=1), None)]
)
def test_no_processing_time_is_shown_without_a_tm_or_a_duration(
    reply: ReplyRecord | None, duration_ms: int | None
) -> None:
    assert "tm" not in described(reply, duration_ms)
