"""Whatever a broker sends: UNKNOWN unless the reply is completely correct, no exception, one request."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack

import pytest

from connector import Deadlines, ExternalSystem, ExternalSystemConfig
from settlement.calls import Rule, Verdict
from settlement.states import Outcome
from tests.unit.connector.hostile_replies import ACCEPTABLE, CHUNKS, COMPRESSED, ENDLESS, HEADS, LENGTHS
from tests.unit.connector.raw_broker import (
    LONG_DEADLINES,
    SHORT_REPLY_DEADLINE,
    Answer,
    Peer,
    adjust,
    broker,
    closing_after,
    reply,
)

BYTES_MAX = 24 * 1024 * 1024
"""For all calls together; the buffers of correct handling take about 10 MiB."""


async def verdict_on(answer: Answer, deadlines: Deadlines = LONG_DEADLINES) -> Verdict:
    """Send the order once and return the verdict."""
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        verdict = await adjust(system, deadlines)
        assert len(there.requests) == 1
    return verdict


@pytest.mark.parametrize("answer", HEADS.values(), ids=HEADS)
async def test_invalid_head_is_unknown(answer: Answer) -> None:
    verdict = await verdict_on(answer)
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONNECTION_BROKEN)


@pytest.mark.parametrize("answer", LENGTHS.values(), ids=LENGTHS)
async def test_wrong_content_length_is_unknown(answer: Answer) -> None:
    """Even if the bytes are a complete success: part of the reply is missing or belongs to another reply."""
    verdict = await verdict_on(answer)
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONNECTION_BROKEN)


@pytest.mark.parametrize("answer", CHUNKS.values(), ids=CHUNKS)
async def test_invalid_chunks_are_unknown(answer: Answer) -> None:
    verdict = await verdict_on(answer)
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONNECTION_BROKEN)


async def test_compressed_success_is_unknown() -> None:
    verdict = await verdict_on(COMPRESSED)
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.UNREADABLE)


@pytest.mark.parametrize("answer", ACCEPTABLE.values(), ids=ACCEPTABLE)
async def test_unusual_but_correct_reply_is_accepted(answer: Answer) -> None:
    assert (await verdict_on(answer)).outcome is Outcome.APPLIED


@pytest.mark.parametrize(("answer", "rules"), ENDLESS.values(), ids=ENDLESS)
async def test_reply_without_an_end_is_abandoned(answer: Answer, rules: set[Rule]) -> None:
    """At the deadline at the latest, or as soon as it is too large or not HTTP."""
    verdict = await verdict_on(answer, SHORT_REPLY_DEADLINE)
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.rule in rules


async def test_reply_cut_anywhere_is_unknown() -> None:
    """It is a success only with its last byte."""
    whole = reply()
    outcomes = []
    length = 0

    async def cut(peer: Peer) -> None:
        await closing_after(whole[:length])(peer)

    async with broker(cut) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        for length in range(len(whole) + 1):
            outcomes.append((await adjust(system)).outcome)
            assert len(there.requests) == length + 1
    assert outcomes == [Outcome.UNKNOWN] * len(whole) + [Outcome.APPLIED]


async def test_replies_without_an_end_use_no_memory() -> None:
    """A separate process calls the flooding brokers; its peak memory must not grow with the data sent."""
    async with AsyncExitStack() as opened:
        brokers = [await opened.enter_async_context(broker(answer)) for answer, _ in ENDLESS.values()]
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.unit.connector.measured_client", *(there.url for there in brokers)),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await client.communicate()
    measured = dict(zip(ENDLESS, json.loads(output), strict=True))
    assert {name for name, each in measured.items() if each["outcome"] != Outcome.UNKNOWN} == set()
    assert [name for name, each in measured.items() if each["bytes"] >= BYTES_MAX] == [], "the first is the culprit"
