"""Whatever a broker sends: one outcome, unknown unless the reply is wholly right, no exception, one request."""

import asyncio
import json
import sys
from typing import Any

import pytest

from connector import Deadlines, ExternalSystem, ExternalSystemConfig
from settlement.calls import Rule, Verdict
from settlement.states import Outcome
from tests.unit.connector.hostile_replies import CHUNKS, COMPRESSED, ENDLESS, HEADS, LENGTHS, SOUND
from tests.unit.connector.raw_broker import BRIEF, PATIENT, Answer, adjust, broker, closing_after, reply

BYTES_MAX = 32 * 1024 * 1024


async def verdict_on(answer: Answer, deadlines: Deadlines = PATIENT) -> Verdict:
    """Send the order once and return what came of it."""
    async with broker(answer) as there, ExternalSystem(ExternalSystemConfig(there.url)) as system:
        verdict = await adjust(system, deadlines)
        assert len(there.requests) == 1
    return verdict


@pytest.mark.parametrize("answer", HEADS.values(), ids=HEADS)
async def test_head_that_is_none_is_unknown(answer: Answer) -> None:
    verdict = await verdict_on(answer)
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONNECTION_BROKEN)


@pytest.mark.parametrize("answer", LENGTHS.values(), ids=LENGTHS)
async def test_length_that_is_not_the_bodys_is_unknown(answer: Answer) -> None:
    """Even where the bytes that came are a whole success: some of the reply is missing, or some is another's."""
    verdict = await verdict_on(answer)
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONNECTION_BROKEN)


@pytest.mark.parametrize("answer", CHUNKS.values(), ids=CHUNKS)
async def test_chunks_that_do_not_add_up_are_unknown(answer: Answer) -> None:
    verdict = await verdict_on(answer)
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONNECTION_BROKEN)


async def test_compressed_success_is_unknown() -> None:
    verdict = await verdict_on(COMPRESSED)
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.UNREADABLE)


@pytest.mark.parametrize("answer", SOUND.values(), ids=SOUND)
async def test_odd_reply_that_is_wholly_right_is_read(answer: Answer) -> None:
    assert (await verdict_on(answer)).outcome is Outcome.APPLIED


@pytest.mark.parametrize(("answer", "rules"), ENDLESS.values(), ids=ENDLESS)
async def test_reply_without_an_end_is_left(answer: Answer, rules: set[Rule]) -> None:
    """At the deadline at the latest, or as soon as it is too large or no HTTP."""
    verdict = await verdict_on(answer, BRIEF)
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.rule in rules


async def test_reply_cut_anywhere_is_unknown() -> None:
    """Only its last byte makes a success of it."""
    whole = reply()
    for length in range(len(whole)):
        assert (await verdict_on(closing_after(whole[:length]))).outcome is Outcome.UNKNOWN
    assert (await verdict_on(closing_after(whole))).outcome is Outcome.APPLIED


@pytest.mark.parametrize("answer", [each for each, _ in ENDLESS.values()], ids=ENDLESS)
async def test_reply_without_an_end_takes_no_memory(answer: Answer) -> None:
    """A process of its own calls the flooding broker; its peak may not grow with what it is sent."""
    async with broker(answer) as there:
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.unit.connector.measured_client", there.url, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await client.communicate()
    measured: dict[str, Any] = json.loads(told)
    assert measured["outcome"] == Outcome.UNKNOWN
    assert measured["bytes"] < BYTES_MAX
