"""Connections are reused; a reused connection must not repeat a request or return the reply to another one."""

import asyncio

from connector import CallHeaders, ExternalSystem, ExternalSystemConfig
from settlement.calls import Rule
from settlement.states import Outcome
from tests.unit.connector.raw_broker import (
    LONG_DEADLINES,
    ORDER,
    SHORT_REPLY_DEADLINE,
    Peer,
    adjust,
    broker,
    closing_after,
    in_turn,
    reply,
    resetting_after,
    sending,
    silence,
)


async def test_successive_calls_share_a_connection() -> None:
    async with broker(sending(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        for _ in range(5):
            assert (await adjust(system)).outcome is Outcome.APPLIED
        assert (len(there.requests), there.connections) == (5, 1)


async def test_post_on_a_connection_that_just_closed_is_not_repeated() -> None:
    """A POST that may have arrived is not sent again automatically, as some HTTP clients do."""
    for last in (closing_after(), resetting_after()):
        answer = in_turn(sending(reply()), last)
        async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
            assert (await adjust(system)).outcome is Outcome.APPLIED
            verdict = await adjust(system)
            assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONNECTION_BROKEN)
            assert [request.connection for request in there.requests] == [1, 1]


async def test_connection_closed_while_idle_affects_at_most_one_call() -> None:
    """If the close is noticed, the call uses a new connection; if not, it is UNKNOWN. It is never sent twice."""
    async with broker(closing_after(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        traces = [f"t-{each}" for each in range(8)]
        verdicts = [await system.adjust(ORDER, CallHeaders(trace), LONG_DEADLINES) for trace in traces]
        heard = [request.headers["trace"] for request in there.requests]
    assert {verdict.outcome for verdict in verdicts} <= {Outcome.APPLIED, Outcome.UNKNOWN}
    assert len(set(heard)) == len(heard)
    applied = {trace for trace, verdict in zip(traces, verdicts, strict=True) if verdict.outcome is Outcome.APPLIED}
    assert applied <= set(heard)


async def test_connection_is_not_reused_if_the_broker_asks_to_close_it() -> None:
    answer = sending(reply(b'{"code":"0"}', "Connection: close"))
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        for _ in range(3):
            assert (await adjust(system)).outcome is Outcome.APPLIED
        assert [request.connection for request in there.requests] == [1, 2, 3]


async def test_connection_of_an_unknown_call_is_not_reused() -> None:
    """Data that arrives on it later belongs to the earlier call."""
    async with broker(in_turn(silence, sending(reply()))) as there:
        async with ExternalSystem(ExternalSystemConfig(there.url)) as system:
            assert (await adjust(system, SHORT_REPLY_DEADLINE)).outcome is Outcome.UNKNOWN
            assert (await adjust(system)).outcome is Outcome.APPLIED
        assert [request.connection for request in there.requests] == [1, 2]


async def test_second_reply_at_once_never_answers_the_next_call() -> None:
    answer = in_turn(sending(reply() + reply()), sending(reply(b'{"code":"E2"}')))
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert (await adjust(system)).outcome is Outcome.APPLIED
        assert (await adjust(system)).outcome is not Outcome.APPLIED


async def test_unexpected_reply_never_answers_the_next_call() -> None:
    """A stray reply on an idle connection, such as a doubled one, says nothing about the next order.

    It names the trace of the order before, which table 4 makes equal to the request's.
    """
    first_over, stray_sent = asyncio.Event(), asyncio.Event()

    async def doubled(peer: Peer) -> None:
        await peer.send(reply(b'{"code":"0","trace":"first"}'))
        await first_over.wait()
        await peer.send(reply(b'{"code":"0","trace":"first"}'))
        stray_sent.set()

    refused = sending(reply(b'{"code":"E2","trace":"second"}'))
    async with broker(in_turn(doubled, refused)) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        first = await system.adjust(ORDER, CallHeaders("first"), LONG_DEADLINES)
        first_over.set()
        await stray_sent.wait()
        await round_trip_on_another_connection()
        second = await system.adjust(ORDER, CallHeaders("second"), LONG_DEADLINES)
    assert first.outcome is Outcome.APPLIED
    assert second.outcome is not Outcome.APPLIED


async def round_trip_on_another_connection() -> None:
    """Let the event loop read all data that has arrived so far."""
    async with broker(sending(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        await adjust(system)


async def test_calls_at_once_each_get_their_own_reply() -> None:
    """All are in flight before the first is answered, and each reply has the trace of its request."""
    calls = 30
    all_here = asyncio.Barrier(calls)

    async def echo(peer: Peer) -> None:
        await all_here.wait()
        await peer.send(reply(f'{{"code":"{peer.request.headers["trace"]}"}}'.encode()))

    async with broker(echo) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        traces = [f"t-{each}" for each in range(calls)]
        verdicts = await asyncio.gather(*(system.adjust(ORDER, CallHeaders(trace), LONG_DEADLINES) for trace in traces))
        assert [verdict.reply and verdict.reply.code for verdict in verdicts] == traces
        assert there.connections == calls
