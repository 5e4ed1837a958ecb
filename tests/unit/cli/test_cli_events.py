"""Following a stream through everything that breaks it: each event once, in order, to the settlement's end."""

import json

from starlette.responses import Response

from tests.support.cli import settlement, terminal
from tests.unit.cli.api_answers import ENDED, EVENTS, problem
from tests.unit.cli.conftest import Script
from tests.unit.cli.scripted_api import json_answer, stream, unavailable


def sent(*positions: int) -> list[str]:
    """Return events as the stream has them."""
    return [f"id: {position}\ndata: {EVENTS[position].model_dump_json()}\n\n" for position in positions]


WHOLE = [json.loads(event.model_dump_json()) for event in EVENTS]


async def test_what_breaks_off_is_taken_up_after_the_last_event(scripted: Script) -> None:
    broken = stream(*sent(0, 1), sent(2)[0][:20], breaks=True)
    url, script = await scripted(broken, unavailable(), stream(breaks=True), stream(*sent(2)))
    ran = await settlement("events", ENDED, "--json", url=url)
    assert (ran.code, ran.lines()) == (0, WHOLE), ran.err
    assert [seen.headers.get("last-event-id") for seen in script.seen] == [None, "1", "1", "1"]
    assert ran.err.count("trying again") >= 1


async def test_a_stream_that_the_api_ends_early_is_asked_for_again(scripted: Script) -> None:
    under_way = json_answer('{"state":"CANCELLING"}')
    url, script = await scripted(
        stream(*sent(0, 1)), stream(), stream(*sent(2)), always={f"/v1/settlements/{ENDED}": under_way}
    )
    ran = await settlement("events", ENDED, "--json", url=url)
    asked_after = [seen.headers.get("last-event-id") for seen in script.seen if seen.path.endswith("/events")]
    assert (ran.code, ran.lines(), ran.err) == (0, WHOLE, "")
    assert asked_after == [None, "1", "1"]


async def test_what_a_stream_repeats_is_printed_once(scripted: Script) -> None:
    url, _ = await scripted(stream(*sent(0, 0, 1, 0, 1, 2)))
    ran = await settlement("events", ENDED, "--json", url=url)
    assert ran.lines() == WHOLE


async def test_it_leaves_at_the_end_though_the_stream_stays_open(scripted: Script) -> None:
    url, _ = await scripted(stream(*sent(0, 1, 2), hangs=True))
    assert (await settlement("events", ENDED, url=url)).code == 0


async def test_each_event_is_printed_as_it_comes(scripted: Script) -> None:
    url, _ = await scripted(stream(*sent(0, 1), hangs=True))
    async with terminal("events", ENDED, url=url) as screen:
        await screen.shows("CANCELLING")
        screen.interrupts()
        ran = await screen.ends()
    assert ran.code == 130
    assert "accepted" in ran.out


async def test_a_refusal_is_final(scripted: Script) -> None:
    url, script = await scripted(problem(404, "not-found"))
    assert (await settlement("events", ENDED, url=url)).code == 1
    assert len(script.seen) == 1


async def test_what_is_no_event_is_not_asked_for_again(scripted: Script) -> None:
    for garbage in ("id: 0\ndata: {}\n\n", "id: x\ndata: {}\n\n", "id: 0\ndata: [\n\n", "data: 1\n\n"):
        url, script = await scripted(stream(garbage))
        assert (await settlement("events", ENDED, url=url)).code == 3
        assert len(script.seen) == 1


async def test_a_page_in_place_of_a_stream_is_said(scripted: Script) -> None:
    url, _ = await scripted(Response("<html>", 200, {"retry-after": "0"}, "text/html"))
    async with terminal("events", ENDED, url=url) as screen:
        await screen.shows("trying again")
        screen.interrupts()
        assert (await screen.ends()).code == 130
