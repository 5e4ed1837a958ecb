"""The external system has its full 3 seconds, and no cancel is sent while its adjust is in flight."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from settlement.states import Decision, State
from tests.e2e.conftest import System, faulty

AT_ONCE = 40


async def test_many_hanging_adjusts_get_their_full_time_and_are_cancelled_only_afterwards(system: System) -> None:
    bodies = [faulty("hang_applied") for _ in range(AT_ONCE)]
    # The response time depends on the machine; the deadline of each adjust must not.
    answers = await asyncio.gather(*(system.post(body, wait_s=45) for body in bodies))
    assert {answer.body["decision"] for answer in answers} == {Decision.VOID}
    for body in bodies:
        number = body["requestUniqueNo"]
        ended = await system.ends(number)
        if ended["state"] == State.EXPIRED:
            assert (await system.books(number))["state"] == "NEVER_RECEIVED"
            continue
        assert ended["state"] == State.CANCELLED
        assert (len(await system.adjusts(number)), len(await system.cancels(number))) == (1, 1)
        # Our own times: a busy simulator records when it notices an event, which can be in another order.
        adjust, cancel = ended["calls"][:2]
        assert (adjust["operation"], cancel["operation"]) == ("ADJUST", "CANCEL_ADJUST")
        assert adjust["durationMs"] >= 3000
        assert datetime.fromisoformat(cancel["sentAt"]) >= _end_of(adjust)
        assert (await system.books(number))["timesReversed"] == 1


def _end_of(call: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(call["sentAt"]) + timedelta(milliseconds=call["durationMs"])


async def test_a_reply_within_three_seconds_counts(system: System) -> None:
    answer = await system.post(faulty("late", seconds=2))
    assert answer.body["decision"] == Decision.PROCEED


async def test_the_resource_shows_the_phase_of_an_unanswered_call(system: System) -> None:
    for fault, phase in (("hang_applied", "FIRST_BYTE"), ("drip", "BODY"), (None, None)):
        number = (await system.post(faulty(fault))).body["requestUniqueNo"]
        ended = await system.ends(number)
        assert [call["verdict"]["phase"] for call in ended["calls"] if call["operation"] == "ADJUST"] == [phase]
