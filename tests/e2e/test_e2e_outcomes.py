"""What the external system's own books hold at the end is what the settlement says."""

import asyncio

import pytest

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


async def test_a_good_answer_settles(system: System) -> None:
    answer = await system.post(order(amount="0012.50".lstrip("0"), requestUniqueNo="N" + "x" * 47))
    assert (answer.status, answer.body["state"], answer.body["decision"]) == (201, "SETTLED", "PROCEED")
    number = answer.body["requestUniqueNo"]
    assert answer.headers["Location"] == f"/v1/settlements/{number}"
    assert (await system.get(number)).body == answer.body
    assert (await system.books(number))["state"] == "APPLIED"


@pytest.mark.parametrize("fault", APPLIED_BUT_UNREADABLE)
async def test_applied_but_unreadable_is_void_and_reversed(system: System, fault: str) -> None:
    answer = await system.post(faulty(fault))
    assert answer.body["decision"] == "VOID"
    number = answer.body["requestUniqueNo"]
    ended = await system.ends(number)
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
    books = await system.books(number)
    assert (books["state"], books["timesApplied"], books["timesReversed"]) == ("REVERSED", 1, 1)
    assert len(await system.adjusts(number)) == 1
    assert len(ended["calls"]) == len(await system.calls(number))


@pytest.mark.parametrize("fault", ["no_trace", "byte_order_mark", "list_data"])
async def test_an_unusual_but_unambiguous_reply_settles(system: System, fault: str) -> None:
    answer = await system.post(faulty(fault))
    assert (answer.body["state"], answer.body["decision"]) == ("SETTLED", "PROCEED")


@pytest.mark.parametrize("fault", ["no_trace", "byte_order_mark", "list_data"])
async def test_an_unusual_but_unambiguous_reply_ends_a_cancel(system: System, fault: str) -> None:
    ended = await system.ends((await system.post(faulty("reset_applied", cancel=fault))).body["requestUniqueNo"])
    assert (ended["state"], ended["cancelResult"], len(ended["calls"])) == ("CANCELLED", "REVERSED", 2)


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        ("reject", CancelResult.NOT_APPLIED),
        ("redirect", CancelResult.NOT_APPLIED),
        ("reset", CancelResult.NOT_APPLIED),
        ("never_received", CancelResult.NEVER_RECEIVED),
    ],
)
async def test_not_applied_is_void_and_stays_without_effect(system: System, fault: str, result: CancelResult) -> None:
    number = (await system.post(faulty(fault))).body["requestUniqueNo"]
    ended = await system.ends(number)
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, result)
    assert (await system.books(number))["timesApplied"] == 0


@pytest.mark.parametrize(
    ("fault", "result", "applied"),
    [("land_late", CancelResult.NOT_APPLIED, 0), ("land_late_unguarded", CancelResult.REVERSED, 1)],
)
async def test_an_adjust_that_lands_after_its_cancel_is_refused_or_caught(
    system: System, fault: str, result: CancelResult, applied: int
) -> None:
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


@pytest.mark.parametrize("fault", ["wrong_trace", "constant_trace"])
async def test_a_cancel_answered_with_another_trace_is_sent_again(system: System, fault: str) -> None:
    number = (await system.post(faulty("reset_applied", cancel=fault, times=1))).body["requestUniqueNo"]
    ended = await system.ends(number)
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
    assert [call["verdict"]["rule"] for call in ended["calls"][1:]] == ["FOREIGN_TRACE", "CODE_SUCCESS"]


async def test_a_rejected_order_says_why(system: System) -> None:
    answer = await system.post(faulty("reject"))
    said = {
        "code": "US_0000402",
        "message": "the adjust is not applied, as its {0} asked",
        "params": ["metadata"],
        "text": "the adjust is not applied, as its metadata asked",
    }
    assert answer.body["brokerMessage"] == said
    ended = await system.ends(answer.body["requestUniqueNo"])
    assert ended["brokerMessage"] == said
    replies = [call["verdict"]["reply"] for call in ended["calls"]]
    assert [reply["code"] for reply in replies] == ["US_0000402", "US_0000001"]
    assert {reply["trace"] for reply in replies} == {ended["trace"]}
    assert all(reply["bizCode"] == "SIMULATOR" and reply["data"] == "{}" and reply["fail"] for reply in replies)


async def test_one_trace_runs_through_all_calls(system: System) -> None:
    number = (await system.post(faulty("never_received"))).body["requestUniqueNo"]
    ended = await system.ends(number)
    assert {call["trace"] for call in await system.calls(number)} == {ended["trace"]}


async def test_sixty_posts_of_one_order_are_one_adjust_and_sixty_equal_answers(system: System) -> None:
    body = order()
    answers = await asyncio.gather(*(system.post(body) for _ in range(60)))
    assert sorted(answer.status for answer in answers) == [200] * 59 + [201]
    assert all(answer.body == answers[0].body for answer in answers)
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count("true") == 59
    assert len(await system.adjusts(body["requestUniqueNo"])) == 1


async def test_sixty_posts_of_one_hanging_order_are_one_adjust_and_sixty_equal_answers(system: System) -> None:
    body = faulty("hang_applied")
    answers = await asyncio.gather(*(system.post(body) for _ in range(60)))
    assert {answer.body["decision"] for answer in answers} == {"VOID"}
    assert all(answer.body == answers[0].body for answer in answers)
    await system.ends(body["requestUniqueNo"])
    assert len(await system.adjusts(body["requestUniqueNo"])) == 1
