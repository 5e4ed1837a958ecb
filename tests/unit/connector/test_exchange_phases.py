"""A call without a complete reply records its phase: our queue, connecting, or waiting for the broker."""

import asyncio
import socket

import pytest

from connector import Deadlines, ExternalSystem, ExternalSystemConfig
from settlement.calls import Phase, Rule, Verdict
from tests.unit.connector.raw_broker import (
    SHORT_CONNECT_DEADLINE,
    SHORT_REPLY_DEADLINE,
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
    "silence": (silence, SHORT_REPLY_DEADLINE, Rule.DEADLINE, Phase.FIRST_BYTE),
    "half a head": (sending(HEAD), SHORT_REPLY_DEADLINE, Rule.DEADLINE, Phase.FIRST_BYTE),
    "head and no body": (sending(WHOLE_HEAD), SHORT_REPLY_DEADLINE, Rule.DEADLINE, Phase.BODY),
    "all but the last byte": (sending(reply()[:-1]), SHORT_REPLY_DEADLINE, Rule.DEADLINE, Phase.BODY),
    "closed at once": (closing_after(), SHORT_CONNECT_DEADLINE, Rule.CONNECTION_BROKEN, Phase.FIRST_BYTE),
    "closed within the body": (closing_after(reply()[:-5]), SHORT_CONNECT_DEADLINE, Rule.CONNECTION_BROKEN, Phase.BODY),
    "reset at once": (resetting_after(), SHORT_CONNECT_DEADLINE, Rule.CONNECTION_BROKEN, Phase.FIRST_BYTE),
}


def rule_and_phase(verdict: Verdict) -> tuple[Rule, Phase | None]:
    return verdict.rule, verdict.phase


@pytest.mark.parametrize(("answer", "deadlines", "rule", "phase"), ANSWERED.values(), ids=ANSWERED)
async def test_phase_after_the_request_was_sent(answer: Answer, deadlines: Deadlines, rule: Rule, phase: Phase) -> None:
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert rule_and_phase(await adjust(system, deadlines)) == (rule, phase)


async def test_phase_on_a_pooled_connection_is_the_same() -> None:
    async with broker(in_turn(sending(reply()), silence)) as there:
        async with ExternalSystem(ExternalSystemConfig(there.url)) as system:
            await adjust(system)
            assert rule_and_phase(await adjust(system, SHORT_REPLY_DEADLINE)) == (Rule.DEADLINE, Phase.FIRST_BYTE)
        assert there.connections == 1


async def test_phase_while_waiting_for_a_free_connection_is_queue() -> None:
    reached = asyncio.Event()

    async def answer(peer: Peer) -> None:
        reached.set()
        await silence(peer)

    async with broker(answer) as there:
        config = ExternalSystemConfig(there.url, connections_max=1)
        async with ExternalSystem(config) as system, asyncio.TaskGroup() as calls:
            first = calls.create_task(adjust(system))
            await reached.wait()
            assert rule_and_phase(await adjust(system, SHORT_CONNECT_DEADLINE)) == (Rule.NOT_CONNECTED, Phase.QUEUE)
            first.cancel()


async def test_phase_of_a_call_that_was_queued_and_then_sent_is_not_queue() -> None:
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
            second = calls.create_task(adjust(system, SHORT_REPLY_DEADLINE))
            hung_up.set()
        assert rule_and_phase(second.result()) == (Rule.DEADLINE, Phase.FIRST_BYTE)


async def test_phase_of_a_refused_or_unanswered_connection_is_connect() -> None:
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound_but_not_listening.getsockname()[1]}"
        async with ExternalSystem(ExternalSystemConfig(url)) as system:
            assert rule_and_phase(await adjust(system)) == (Rule.NOT_CONNECTED, Phase.CONNECT)
    with full_listener() as url:
        async with ExternalSystem(ExternalSystemConfig(url)) as system:
            assert rule_and_phase(await adjust(system, SHORT_CONNECT_DEADLINE)) == (Rule.NOT_CONNECTED, Phase.CONNECT)


async def test_invalid_address_has_no_phase() -> None:
    async with ExternalSystem(ExternalSystemConfig("nonsense")) as system:
        assert rule_and_phase(await adjust(system)) == (Rule.NOT_CONNECTED, None)


@pytest.mark.parametrize("sent", [reply(), reply(status="502 Bad"), reply(b"<html>"), reply(b"x" * 70_000)])
async def test_a_reply_has_no_phase(sent: bytes) -> None:
    """Its rule says everything; nothing was being waited for."""
    async with broker(sending(sent)) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        assert (await adjust(system)).phase is None
