"""The end state of each settlement agrees with the external system's books."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from settlement.ids import CancelKind, cancel_unique_no
from settlement.states import CancelResult, State
from tests.e2e.conftest import System, faulty
from tests.support.orders import order

APPLIED_BUT_UNREADABLE = [
    "hang_applied",
    "html_page",
    "not_json",
    "contradictory",
    "wrong_type",
    "oversized",
    "cut",
    "reset_applied",
    "http_500_applied",
    "drip",
    "wrong_trace",
    "constant_trace",
]


POSTS = 30


async def test_a_success_reply_settles(system: System) -> None:
    answer = await system.post(order(amount="0012.50".lstrip("0"), requestUniqueNo="N" + "x" * 47))
    assert (answer.status, answer.body["state"], answer.body["decision"]) == (201, "SETTLED", "PROCEED")
    number = answer.body["requestUniqueNo"]
    assert answer.headers["Location"] == f"/v1/settlements/{number}?system=default"
    assert (await system.get(number)).body == answer.body
    assert (await system.books(number))["state"] == "APPLIED"


async def at_once(check: Callable[..., Awaitable[None]], cases: Iterable[tuple[Any, ...]]) -> None:
    """Check all cases at once, because each waits for seconds; a failure names its case."""

    async def one(case: tuple[Any, ...]) -> None:
        try:
            await check(*case)
        except AssertionError as failure:
            failure.add_note(f"the case is {case}")
            raise

    async with asyncio.TaskGroup() as group:
        for case in cases:
            group.create_task(one(case))


async def test_an_applied_adjust_with_an_unreadable_reply_is_void_and_reversed(system: System) -> None:
    await at_once(is_void_and_reversed, ((system, fault) for fault in APPLIED_BUT_UNREADABLE))


async def is_void_and_reversed(system: System, fault: str) -> None:
    answer = await system.post(faulty(fault))
    assert answer.body["decision"] == "VOID"
    number = answer.body["requestUniqueNo"]
    ended = await system.ends(number)
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
    books = await system.books(number)
    assert (books["state"], books["timesApplied"], books["timesReversed"]) == ("REVERSED", 1, 1)
    assert len(await system.adjusts(number)) == 1
    assert len(ended["calls"]) == len(await system.calls(number))


async def test_an_unusual_but_unambiguous_reply_counts(system: System) -> None:
    unusual = ("no_trace", "byte_order_mark", "list_data")
    await at_once(settles, ((system, fault) for fault in unusual))
    await at_once(ends_a_cancel, ((system, fault) for fault in unusual))


async def settles(system: System, fault: str) -> None:
    answer = await system.post(faulty(fault))
    assert (answer.body["state"], answer.body["decision"]) == ("SETTLED", "PROCEED")


async def ends_a_cancel(system: System, fault: str) -> None:
    ended = await system.ends((await system.post(faulty("reset_applied", cancel=fault))).body["requestUniqueNo"])
    assert (ended["state"], ended["cancelResult"], len(ended["calls"])) == ("CANCELLED", "REVERSED", 2)


async def test_an_adjust_that_was_not_applied_is_void_and_has_no_effect(system: System) -> None:
    results = {
        "reject": CancelResult.NOT_APPLIED,
        "redirect": CancelResult.NOT_APPLIED,
        "reset": CancelResult.NOT_APPLIED,
        "never_received": CancelResult.NEVER_RECEIVED,
    }
    await at_once(has_no_effect, ((system, fault, result) for fault, result in results.items()))


async def has_no_effect(system: System, fault: str, result: CancelResult) -> None:
    number = (await system.post(faulty(fault))).body["requestUniqueNo"]
    ended = await system.ends(number)
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, result)
    assert (await system.books(number))["timesApplied"] == 0


async def test_an_adjust_that_arrives_after_its_cancel_is_refused_or_reversed(system: System) -> None:
    cases = [("land_late", CancelResult.NOT_APPLIED, 0), ("land_late_unguarded", CancelResult.REVERSED, 1)]
    await at_once(is_refused_or_reversed, ((system, *case) for case in cases))


async def is_refused_or_reversed(system: System, fault: str, result: CancelResult, applied: int) -> None:
    number = (await system.post(faulty(fault, seconds=3.5))).body["requestUniqueNo"]
    ended = await system.ends(number)
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, result)
    books = await system.books(number)
    assert (books["timesApplied"], books["timesReversed"]) == (applied, applied)
    assert [call["requestUniqueNo"] for call in await system.cancels(number)] == [
        cancel_unique_no(number, kind) for kind in CancelKind
    ]


BROKER_IS_BACK = {"reasonCode": "BROKER_RECOVERED", "note": "broker is back"}


async def test_a_cancel_that_never_succeeds_is_tried_the_configured_times_and_then_waits_for_a_person(
    system: System,
) -> None:
    attempts = system.stack.settings.cancel_max_attempts
    number = (await system.post(faulty("http_500_applied", cancel="fail", times=attempts))).body["requestUniqueNo"]
    aborted = await system.ends(number)
    assert aborted["state"] == State.ABORTED
    expected = cancel_unique_no(number, CancelKind.FIRST)
    assert [call["requestUniqueNo"] for call in await system.cancels(number)] == [expected] * attempts

    retried = await system.act(number, "cancel-adjust-retries", BROKER_IS_BACK)
    assert retried.status == 202
    assert retried.body["state"] in {State.CANCELLING, State.CANCELLED}
    ended = await system.ends(number)
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
    cancels = await system.cancels(number)
    assert [call["requestUniqueNo"] for call in cancels] == [expected] * (attempts + 1)
    assert len({call["body"] for call in cancels}) == 1
    assert [act["operator"] for act in ended["operatorActions"]] == ["local"]


async def test_a_cancel_answered_with_another_trace_is_sent_again(system: System) -> None:
    await at_once(is_sent_again, ((system, fault) for fault in ("wrong_trace", "constant_trace")))


async def is_sent_again(system: System, fault: str) -> None:
    number = (await system.post(faulty("reset_applied", cancel=fault, times=1))).body["requestUniqueNo"]
    ended = await system.ends(number)
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
    assert [call["verdict"]["rule"] for call in ended["calls"][1:]] == ["FOREIGN_TRACE", "CODE_SUCCESS"]


async def test_a_rejected_order_shows_the_brokers_message(system: System) -> None:
    answer = await system.post(faulty("reject"))
    message = {
        "code": "US_0000402",
        "message": "the adjust is not applied, as its {0} asked",
        "params": ["metadata"],
        "text": "the adjust is not applied, as its metadata asked",
    }
    assert answer.body["brokerMessage"] == message
    ended = await system.ends(answer.body["requestUniqueNo"])
    assert ended["brokerMessage"] == message
    replies = [call["verdict"]["reply"] for call in ended["calls"]]
    assert [reply["code"] for reply in replies] == ["US_0000402", "US_0000001"]
    assert {reply["trace"] for reply in replies} == {ended["trace"]}
    assert all(reply["bizCode"] == "SIMULATOR" and reply["data"] == "{}" and reply["fail"] for reply in replies)


async def test_all_calls_have_the_same_trace(system: System) -> None:
    number = (await system.post(faulty("never_received"))).body["requestUniqueNo"]
    ended = await system.ends(number)
    assert {call["trace"] for call in await system.calls(number)} == {ended["trace"]}


async def test_concurrent_posts_of_one_order_are_one_adjust_and_equal_answers(system: System) -> None:
    body = order()
    answers = await asyncio.gather(*(system.post(body) for _ in range(POSTS)))
    assert sorted(answer.status for answer in answers) == [200] * (POSTS - 1) + [201]
    assert all(answer.body == answers[0].body for answer in answers)
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count("true") == POSTS - 1
    assert len(await system.adjusts(body["requestUniqueNo"])) == 1


async def test_concurrent_posts_of_one_hanging_order_are_one_adjust_and_equal_answers(system: System) -> None:
    body = faulty("hang_applied")
    answers = await asyncio.gather(*(system.post(body) for _ in range(POSTS)))
    assert {answer.body["decision"] for answer in answers} == {"VOID"}
    assert all(answer.body == answers[0].body for answer in answers)
    await system.ends(body["requestUniqueNo"])
    assert len(await system.adjusts(body["requestUniqueNo"])) == 1
