"""One sentence for one call: what came back, and whose time it took."""

from datetime import UTC, datetime

import pytest

from contract.operations import Operation
from schemas.explanation import call_in_words
from settlement.calls import CallRecord, Rule, Verdict
from settlement.reply_record import ReplyRecord
from settlement.states import Outcome


def words(reply: ReplyRecord | None, duration_ms: int | None = 45, rule: Rule = Rule.CODE_FAILURE) -> str:
    """Return the words for an adjust with this reply."""
    verdict = Verdict(outcome=Outcome.REJECTED, rule=rule, http_status=200, reply=reply)
    at = datetime(2026, 1, 5, tzinfo=UTC)
    call = CallRecord(
        operation=Operation.ADJUST, request_unique_no="N", sent_at=at, duration_ms=duration_ms, verdict=verdict
    )
    return call_in_words(call, "12.50 USD")


def test_a_reply_is_told_with_its_message_filled_in() -> None:
    reply = ReplyRecord(biz_code="PAY", code="E17", msg="no {0}", msg_params="credit", trace="t-1", data="{}")
    assert "(HTTP status 200, bizCode PAY, code E17, msg no credit)" in words(reply)


def test_the_trace_is_told_where_it_is_the_reason() -> None:
    told = words(ReplyRecord(code="0", trace="theirs"), rule=Rule.FOREIGN_TRACE)
    assert "(HTTP status 200, trace theirs, code 0)" in told


@pytest.mark.parametrize(("tm", "rest_ms"), [(0, 45), (12, 33), (45, 0)])
def test_the_external_systems_own_time_is_told_from_the_rest(tm: int, rest_ms: int) -> None:
    told = words(ReplyRecord(code="E1", tm=tm))
    assert f"The external system reports {tm} ms of its own (tm); the other {rest_ms} ms were the network" in told


@pytest.mark.parametrize("tm", [-1, 46, 2**63 - 1, -(2**63)])
def test_a_time_that_cannot_be_is_told_as_such(tm: int) -> None:
    assert f"Its own processing time (tm {tm} ms) is not plausible: the whole call took 45 ms." in words(
        ReplyRecord(code="E1", tm=tm)
    )


@pytest.mark.parametrize(
    ("reply", "duration_ms"), [(None, 45), (ReplyRecord(code="E1"), 45), (ReplyRecord(code="E1", tm=1), None)]
)
def test_without_a_time_nothing_is_said_of_it(reply: ReplyRecord | None, duration_ms: int | None) -> None:
    assert "tm" not in words(reply, duration_ms)
