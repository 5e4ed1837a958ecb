"""A call without a whole reply says how far it had come: our queue, the network, or the broker."""

import asyncio
import socket

import pytest

from connector import Deadlines, ExternalSystem, ExternalSystemConfig
from settlement.calls import Phase, Rule, Verdict
from tests.unit.connector.raw_broker import (
    BRIEF,
    HASTY,
    Answer,
    Peer,
    adjust,
    broker,
    closing_after,
    full_listener,
    in_turn,
    reply,
    resetting_after,
    sending,
    silence,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE_HEAD = HEAD + b"Content-Length: 35\r\n\r\n"

ANSWERED: dict[str, tuple[Answer, Deadlines, Rule, Phase]] = {
    "silence": (silence, BRIEF, Rule.DEADLINE, Phase.FIRST_BYTE),
    "half a head": (sending(HEAD), BRIEF, Rule.DEADLINE, Phase.FIRST_BYTE),
    "head and no body": (sending(WHOLE_HEAD), BRIEF, Rule.DEADLINE, Phase.BODY),
    "all but the last byte": (sending(reply()[:-1]), BRIEF, Rule.DEADLINE, Phase.BODY),
    "closed at once": (closing_after(), HASTY, Rule.CONNECTION_BROKEN, Phase.FIRST_BYTE),
    "closed within the body": (closing_after(reply()[:-5]), HASTY, Rule.CONNECTION_BROKEN, Phase.BODY),
    "reset at once": (resetting_after(), HASTY, Rule.CONNECTION_BROKEN, Phase.FIRST_BYTE),
}


def seen(verdict: Verdict) -> tuple[Rule, Phase | None]:
    return verdict.rule, verdict.phase


@pytest.mark.parametrize(("answer", "deadlines", "rule", "phase"), ANSWERED.values(), ids=ANSWERED)
async def test_what_the_broker_does_with_a_request_it_has(
    answer: Answer, deadlines: Deadlines, rule: Rule, phase: Phase
) -> None:
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert seen(await adjust(system, deadlines)) == (rule, phase)


async def test_a_connection_from_the_pool_is_told_like_a_new_one() -> None:
    async with broker(in_turn(sending(reply()), silence)) as there:
        async with ExternalSystem(ExternalSystemConfig(there.url)) as system:
            await adjust(system)
            assert seen(await adjust(system, BRIEF)) == (Rule.DEADLINE, Phase.FIRST_BYTE)
        assert there.connections == 1


async def test_waiting_for_a_free_connection_is_the_queue() -> None:
    reached = asyncio.Event()

    async def answer(peer: Peer) -> None:
        reached.set()
        await silence(peer)

    async with broker(answer) as there:
        config = ExternalSystemConfig(there.url, connections_max=1)
        async with ExternalSystem(config) as system, asyncio.TaskGroup() as calls:
            first = calls.create_task(adjust(system))
            await reached.wait()
            assert seen(await adjust(system, HASTY)) == (Rule.NOT_CONNECTED, Phase.QUEUE)
            first.cancel()


async def test_a_call_that_was_queued_and_then_sent_has_left_the_queue() -> None:
    reached, hung_up = asyncio.Event(), asyncio.Event()

    async def first_then_nothing(peer: Peer) -> None:
        reached.set()
        await hung_up.wait()
        await peer.send(reply())

    async with broker(in_turn(first_then_nothing, silence)) as there:
        config = ExternalSystemConfig(there.url, connections_max=1)
        async with ExternalSystem(config) as system, asyncio.TaskGroup() as calls:
            calls.create_task(adjust(system))
            await reached.wait()
            second = calls.create_task(adjust(system, BRIEF))
            hung_up.set()
        assert seen(second.result()) == (Rule.DEADLINE, Phase.FIRST_BYTE)


async def test_a_port_that_refuses_and_one_that_never_answers_are_the_connecting() -> None:
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound_but_not_listening.getsockname()[1]}"
        async with ExternalSystem(ExternalSystemConfig(url)) as system:
            assert seen(await adjust(system)) == (Rule.NOT_CONNECTED, Phase.CONNECT)
    with full_listener() as url:
        async with ExternalSystem(ExternalSystemConfig(url)) as system:
            assert seen(await adjust(system, HASTY)) == (Rule.NOT_CONNECTED, Phase.CONNECT)


async def test_an_address_that_leads_nowhere_has_no_phase() -> None:
    async with ExternalSystem(ExternalSystemConfig("nonsense")) as system:
        assert seen(await adjust(system)) == (Rule.NOT_CONNECTED, None)


@pytest.mark.parametrize("sent", [reply(), reply(status="502 Bad"), reply(b"<html>"), reply(b"x" * 70_000)])
async def test_a_reply_has_no_phase(sent: bytes) -> None:
    """What came of it is in the rule; nothing was being waited for any more."""
    async with broker(sending(sent)) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert (await adjust(system)).phase is None
