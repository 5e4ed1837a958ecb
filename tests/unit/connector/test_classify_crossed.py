"""A reply that carries another call's trace is another call's reply."""

import pytest

from connector.classify import classify
from connector.exchange import Reply
from contract.calls import Rule
from contract.states import Outcome

SENT = {"mine", "theirs"}


def body(trace: str) -> bytes:
    return b'{"code":"0","trace":' + trace.encode() + b"}"


@pytest.mark.parametrize("trace", ['"mine"', '""', "null", '"nobody\'s"'], ids=["own", "empty", "null", "unheard-of"])
def test_own_or_nobodys_trace_is_let_pass(trace: str) -> None:
    """Not every broker repeats the trace as it should."""
    assert classify(Reply(200, body(trace)), "mine", SENT).outcome is Outcome.APPLIED


def test_no_trace_is_let_pass() -> None:
    assert classify(Reply(200, b'{"code":"0"}'), "mine", SENT).outcome is Outcome.APPLIED


@pytest.mark.parametrize("code", ["0", "E1"])
def test_another_calls_trace_is_a_contradiction(code: str) -> None:
    crossed = body('"theirs"').replace(b'"0"', f'"{code}"'.encode())
    verdict = classify(Reply(200, crossed), "mine", SENT)
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONTRADICTORY)
