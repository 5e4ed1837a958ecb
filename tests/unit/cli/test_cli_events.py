"""`settlement events` over broken streams: each event once, in order, until the settlement's end."""

import json

from starlette.responses import Response

from tests.support.cli import settlement, terminal
from tests.unit.cli.api_answers import ENDED, EVENTS, problem
from tests.unit.cli.conftest import ServeScript
from tests.unit.cli.scripted_api import json_answer, stream, unavailable


def stream_events(*positions: int) -> list[str]:
    """Return events in the format of a stream."""
    return [f"id: {position}\ndata: {EVENTS[position].model_dump_json()}\n\n" for position in positions]


WHOLE = [json.loads(event.model_dump_json()) for event in EVENTS]


async def test_a_broken_stream_continues_after_the_last_event(serve_script: ServeScript) -> None:
    broken = stream(*stream_events(0, 1), stream_events(2)[0][:20], breaks=True)
    url, script = await serve_script(broken, unavailable(), stream(breaks=True), stream(*stream_events(2)))
    ran = await settlement("events", ENDED, "--json", url=url)
    assert (ran.code, ran.lines()) == (0, WHOLE), ran.err
    assert [request.headers.get("last-event-id") for request in script.requests] == [None, "1", "1", "1"]
    assert ran.err.count("will retry") >= 1


async def test_a_stream_that_the_api_ends_early_is_opened_again(serve_script: ServeScript) -> None:
    cancelling = json_answer('{"state":"CANCELLING"}')
    url, script = await serve_script(
        stream(*stream_events(0, 1)),
        stream(),
        stream(*stream_events(2)),
        always={f"/v1/settlements/{ENDED}": cancelling},
    )
    ran = await settlement("events", ENDED, "--json", url=url)
    last_event_ids = [
        request.headers.get("last-event-id") for request in script.requests if request.path.endswith("/events")
    ]
    assert (ran.code, ran.lines(), ran.err) == (0, WHOLE, "")
    assert last_event_ids == [None, "1", "1"]


async def test_a_repeated_event_is_printed_once(serve_script: ServeScript) -> None:
    url, _ = await serve_script(stream(*stream_events(0, 0, 1, 0, 1, 2)))
    ran = await settlement("events", ENDED, "--json", url=url)
    assert ran.lines() == WHOLE


async def test_the_command_ends_with_the_settlement_even_if_the_stream_stays_open(serve_script: ServeScript) -> None:
    url, _ = await serve_script(stream(*stream_events(0, 1, 2), hangs=True))
    assert (await settlement("events", ENDED, url=url)).code == 0


async def test_each_event_is_printed_immediately(serve_script: ServeScript) -> None:
    url, _ = await serve_script(stream(*stream_events(0, 1), hangs=True))
    async with terminal("events", ENDED, url=url) as screen:
        await screen.shows("CANCELLING")
        screen.interrupts()
        ran = await screen.ends()
    assert ran.code == 130
    assert "accepted" in ran.out


async def test_a_refused_stream_is_not_repeated(serve_script: ServeScript) -> None:
    url, script = await serve_script(problem(404, "not-found"))
    assert (await settlement("events", ENDED, url=url)).code == 1
    assert len(script.requests) == 1


async def test_an_unreadable_event_ends_the_command(serve_script: ServeScript) -> None:
    for unreadable in ("id: 0\ndata: {}\n\n", "id: x\ndata: {}\n\n", "id: 0\ndata: [\n\n", "data: 1\n\n"):
        url, script = await serve_script(stream(unreadable))
        assert (await settlement("events", ENDED, url=url)).code == 3
        assert len(script.requests) == 1


async def test_a_response_that_is_not_a_stream_is_reported(serve_script: ServeScript) -> None:
    url, _ = await serve_script(Response("<html>", 200, {"retry-after": "0"}, "text/html"))
    async with terminal("events", ENDED, url=url) as screen:
        await screen.shows("will retry")
        screen.interrupts()
        assert (await screen.ends()).code == 130
