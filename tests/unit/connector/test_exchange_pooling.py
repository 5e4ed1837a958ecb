"""Connections are reused; a reused one must never repeat a request nor answer it with another's reply."""

import asyncio

from connector import CallHeaders, ExternalSystem, ExternalSystemConfig
from settlement.calls import Rule
from settlement.states import Outcome
from tests.unit.connector.raw_broker import (
    BRIEF,
    ORDER,
    PATIENT,
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


async def test_calls_one_after_another_share_a_connection() -> None:
    async with broker(sending(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        for _ in range(5):
            assert (await adjust(system)).outcome is Outcome.APPLIED
        assert (len(there.requests), there.connections) == (5, 1)


async def test_post_on_a_connection_that_just_closed_is_not_repeated() -> None:
    """A POST that may have arrived is never sent again by itself, as HTTP clients like to do."""
    for last in (closing_after(), resetting_after()):
        answer = in_turn(sending(reply()), last)
        async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
            assert (await adjust(system)).outcome is Outcome.APPLIED
            verdict = await adjust(system)
            assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONNECTION_BROKEN)
            assert [request.connection for request in there.requests] == [1, 1]


async def test_connection_closed_while_idle_costs_at_most_its_own_call() -> None:
    """Noticed in time, the call goes over a new connection; not noticed, it is unknown; twice it is never sent."""
    async with broker(closing_after(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        traces = [f"t-{each}" for each in range(8)]
        verdicts = [await system.adjust(ORDER, CallHeaders(trace), PATIENT) for trace in traces]
        heard = [request.headers["trace"] for request in there.requests]
    assert {verdict.outcome for verdict in verdicts} <= {Outcome.APPLIED, Outcome.UNKNOWN}
    assert len(set(heard)) == len(heard)
    applied = {trace for trace, verdict in zip(traces, verdicts, strict=True) if verdict.outcome is Outcome.APPLIED}
    assert applied <= set(heard)


async def test_connection_is_not_reused_when_the_broker_says_so() -> None:
    answer = sending(reply(b'{"code":"0"}', "Connection: close"))
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        for _ in range(3):
            assert (await adjust(system)).outcome is Outcome.APPLIED
        assert [request.connection for request in there.requests] == [1, 2, 3]


async def test_connection_of_an_unknown_call_is_not_reused() -> None:
    """What still comes on it would be the last call's."""
    async with broker(in_turn(silence, sending(reply()))) as there:
        async with ExternalSystem(ExternalSystemConfig(there.url)) as system:
            assert (await adjust(system, BRIEF)).outcome is Outcome.UNKNOWN
            assert (await adjust(system)).outcome is Outcome.APPLIED
        assert [request.connection for request in there.requests] == [1, 2]


async def test_second_reply_in_one_go_never_answers_the_next_call() -> None:
    answer = in_turn(sending(reply() + reply()), sending(reply(b'{"code":"E2"}')))
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert (await adjust(system)).outcome is Outcome.APPLIED
        assert (await adjust(system)).outcome is not Outcome.APPLIED


async def test_reply_that_nobody_asked_for_never_answers_the_next_call() -> None:
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
        first = await system.adjust(ORDER, CallHeaders("first"), PATIENT)
        first_over.set()
        await stray_sent.wait()
        await a_round_trip_elsewhere()
        second = await system.adjust(ORDER, CallHeaders("second"), PATIENT)
    assert first.outcome is Outcome.APPLIED
    assert second.outcome is not Outcome.APPLIED


async def a_round_trip_elsewhere() -> None:
    """Let the event loop read everything that has arrived so far."""
    async with broker(sending(reply())) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        await adjust(system)


async def test_calls_at_once_each_get_their_own_reply() -> None:
    """All are in flight together before the first is answered, and each reply repeats its request's trace."""
    calls = 30
    all_here = asyncio.Barrier(calls)

    async def echo(peer: Peer) -> None:
        await all_here.wait()
        await peer.send(reply(f'{{"code":"{peer.request.headers["trace"]}"}}'.encode()))

    async with broker(echo) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        traces = [f"t-{each}" for each in range(calls)]
        verdicts = await asyncio.gather(*(system.adjust(ORDER, CallHeaders(trace), PATIENT) for trace in traces))
        assert [verdict.reply and verdict.reply.code for verdict in verdicts] == traces
        assert there.connections == calls
