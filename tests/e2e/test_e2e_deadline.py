"""The external system has its full 3 seconds, and no cancel ever meets its adjust in flight."""

import asyncio

from settlement.states import Decision, State
from tests.e2e.conftest import System, faulty

AT_ONCE = 100


async def test_a_hundred_that_hang_at_once_are_neither_cut_short_nor_cancelled_in_flight(system: System) -> None:
    bodies = [faulty("hang_applied") for _ in range(AT_ONCE)]
    # How soon each is answered is the machine's affair; that none is cut short is ours.
    answers = await asyncio.gather(*(system.post(body, wait_s=45) for body in bodies))
    assert {answer.body["decision"] for answer in answers} == {Decision.VOID}
    for body in bodies:
        number = body["requestUniqueNo"]
        ended = await system.ends(number)
        if ended["state"] == State.EXPIRED:
            assert (await system.books(number))["state"] == "NEVER_RECEIVED"
            continue
        assert ended["state"] == State.CANCELLED
        [adjust], [cancel] = await system.adjusts(number), await system.cancels(number)
        # By our own clock: a busy simulator notes an arrival late, and then its 3 s look shorter than they were.
        assert ended["calls"][0]["durationMs"] >= 3000
        assert cancel["receivedAtNs"] >= adjust["endedAtNs"]
        assert (await system.books(number))["timesReversed"] == 1


async def test_a_reply_within_three_seconds_counts(system: System) -> None:
    answer = await system.post(faulty("late", seconds=2))
    assert answer.body["decision"] == Decision.PROCEED


async def test_the_resource_says_how_far_a_call_had_come(system: System) -> None:
    for fault, phase in (("hang_applied", "FIRST_BYTE"), ("drip", "BODY"), (None, None)):
        number = (await system.post(faulty(fault))).body["requestUniqueNo"]
        ended = await system.ends(number)
        assert [call["verdict"]["phase"] for call in ended["calls"] if call["operation"] == "ADJUST"] == [phase]
