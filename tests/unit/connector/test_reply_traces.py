"""A reply with a trace must have the trace of its request, unless the setting is `ignore`.

See docs/contract.md#table-4.
"""

import asyncio

import pytest

from config.secret_references import SecretReader
from config.settings import Settings, load_settings
from config.watched_systems import system_of_settings
from connector import CallHeaders, ExternalSystem, ExternalSystemConfig
from connector.classify import cancel_result, classify
from connector.exchange import Reply
from contract.cancel_adjust import CancelAdjustBody
from contract.operations import TraceCheck
from settlement.calls import Rule
from settlement.states import CancelResult, Outcome
from tests.unit.connector.raw_broker import LONG_DEADLINES, ORDER, Peer, broker, reply, sending
from worker_systems import connector_config

CANCEL = CancelAdjustBody.undoing(ORDER, number="CA1-1", request_time_ms=1_760_000_003_000, remark="no reply in time")
FOREIGN = ["theirs", "MINE", "mine2", "min", " mine", "mine ", "0", "null", "mine\u200b", "\uff4dine"]


def trace_check(settings: Settings) -> TraceCheck:
    """Return the check of the one external system that the settings describe."""
    return connector_config(system_of_settings(settings).entries["default"], SecretReader(), 10).trace_check


def body(trace: str, code: str = "0") -> bytes:
    return f'{{"code":"{code}","trace":{trace}}}'.encode()


@pytest.mark.parametrize("text", ['"mine"', '""', "null"], ids=["own", "empty", "null"])
def test_own_trace_or_none_is_accepted(text: str) -> None:
    """An empty text counts as absent, like a null: many servers write absent texts like this."""
    assert classify(Reply(200, body(text)), "mine").outcome is Outcome.APPLIED


def test_a_reply_without_the_field_is_accepted() -> None:
    assert classify(Reply(200, b'{"code":"0"}'), "mine").outcome is Outcome.APPLIED


@pytest.mark.parametrize("code", ["0", "E1", "US_0000001", "US_0000002"])
@pytest.mark.parametrize("trace", FOREIGN)
def test_any_other_trace_makes_it_unknown(trace: str, code: str) -> None:
    """Even if the trace does not belong to any known order."""
    verdict = classify(Reply(200, body(f'"{trace}"', code)), "mine")
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.FOREIGN_TRACE)
    assert cancel_result(verdict) is None


def test_foreign_trace_is_reported_before_a_contradiction() -> None:
    """The content of another request's reply does not matter."""
    verdict = classify(Reply(200, b'{"code":"0","ok":false,"trace":"theirs"}'), "mine")
    assert verdict.rule is Rule.FOREIGN_TRACE


@pytest.mark.parametrize("trace", FOREIGN)
def test_any_trace_is_accepted_if_traces_are_ignored(trace: str) -> None:
    assert classify(Reply(200, body(f'"{trace}"'))).outcome is Outcome.APPLIED


async def test_new_process_recognizes_the_reply_to_another_request() -> None:
    """The reply belongs to an order that another worker sent; only the trace shows this."""
    answer = sending(reply(b'{"code":"0","trace":"order-A"}'))
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        adjust = await system.adjust(ORDER, CallHeaders("order-B"), LONG_DEADLINES)
        cancel = await system.cancel_adjust(CANCEL, CallHeaders("order-B"), LONG_DEADLINES)
    assert (adjust.outcome, adjust.rule) == (Outcome.UNKNOWN, Rule.FOREIGN_TRACE)
    assert (cancel.outcome, cancel.rule) == (Outcome.UNKNOWN, Rule.FOREIGN_TRACE)


async def test_trace_of_one_caller_does_not_affect_the_orders_of_others() -> None:
    """One caller sends the trace that this broker always returns; the orders of others are applied nevertheless."""
    traces = ["a", "0", "b", "0", "c"]
    answer = sending(reply(b'{"code":"0","trace":"0"}'))
    async with broker(answer) as there:
        config = ExternalSystemConfig(there.url, trace_check=TraceCheck.IGNORE)
        async with ExternalSystem(config) as system:
            verdicts = [await system.adjust(ORDER, CallHeaders(trace), LONG_DEADLINES) for trace in traces]
            cancels = [await system.cancel_adjust(CANCEL, CallHeaders(trace), LONG_DEADLINES) for trace in traces]
    assert {verdict.outcome for verdict in verdicts} == {Outcome.APPLIED}
    assert {cancel_result(verdict) for verdict in cancels} == {CancelResult.REVERSED}


async def test_concurrent_orders_with_one_trace_are_all_applied() -> None:
    """A platform may send one trace with many orders; `strict` does not void any of them."""
    calls = 10
    all_here = asyncio.Barrier(calls)

    async def echo(peer: Peer) -> None:
        await all_here.wait()
        await peer.send(reply(body(f'"{peer.request.headers["trace"]}"')))

    async with broker(echo) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        verdicts = await asyncio.gather(
            *(system.adjust(ORDER, CallHeaders("shared"), LONG_DEADLINES) for _ in range(calls))
        )
    assert {verdict.outcome for verdict in verdicts} == {Outcome.APPLIED}


def test_strict_is_the_default_and_the_setting_reaches_the_connector(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trace_check(Settings()) is TraceCheck.STRICT
    monkeypatch.setenv("SETTLEMENT_EXTERNAL_TRACE", "ignore")
    assert trace_check(load_settings()) is TraceCheck.IGNORE


@pytest.mark.parametrize("value", ["off", "STRICT", "0"])
def test_any_other_word_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    monkeypatch.setenv("SETTLEMENT_EXTERNAL_TRACE", value)
    with pytest.raises(SystemExit):
        load_settings()
    assert capsys.readouterr().err == "SETTLEMENT_EXTERNAL_TRACE: Input should be 'strict' or 'ignore'\n"
