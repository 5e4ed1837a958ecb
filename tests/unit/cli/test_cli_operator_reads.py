"""What operators read, in every form of output. The same against the real system: tests/e2e/test_e2e_cli.py."""

import re

import pytest

from schemas.explanation import Explanation
from settlement.exposure import Exposure
from settlement.snapshot import SettlementEvent
from settlement.states import END_STATES
from tests.support.cli import settlement, terminal
from tests.unit.cli.conftest import Place

ESCAPE = "\x1b"
BOXES = re.compile("[\u2500-\u257f]")


async def test_exposure_as_json_is_exactly_the_answer(place: Place) -> None:
    ran = await settlement("exposure", "--json", url=place.url)
    assert ran.code == 0
    assert ran.json() | {"asOf": ""} == await place.get("/v1/exposure") | {"asOf": ""}


async def test_exposure_plain_has_every_sum_and_every_line(place: Place) -> None:
    ran = await settlement("exposure", url=place.url)
    there = Exposure.model_validate(await place.get("/v1/exposure"))
    assert ran.code == 0
    _, sums, lines = ran.out.split("\n\n")
    assert [line.split("\t") for line in sums.splitlines()[1:]] == [
        [total.currency, str(total.count), total.amount] for total in there.totals
    ]
    assert [line.split("\t")[:6] for line in lines.splitlines()[1:]] == [
        [each.currency, str(each.company_id), each.state, each.age, str(each.count), each.amount]
        for each in there.lines
    ]


async def test_explain_as_json_is_exactly_the_answer(place: Place) -> None:
    ran = await settlement("explain", place.ended, "--json", url=place.url)
    assert (ran.code, ran.json()) == (0, await place.get(f"/v1/settlements/{place.ended}/explain"))


async def test_explain_tells_the_whole_story_in_order(place: Place) -> None:
    ran = await settlement("explain", place.ended, url=place.url)
    told = Explanation.model_validate(await place.get(f"/v1/settlements/{place.ended}/explain"))
    parts = [told.headline, told.money, *(entry.text for entry in told.timeline), told.next.text, *told.next.commands]
    assert ran.code == 0
    position = 0
    for part in parts:
        position = ran.out.index(part, position)


async def test_what_was_never_accepted_is_refused(place: Place) -> None:
    ran = await settlement("explain", "ORD-NOBODY", url=place.url)
    assert (ran.code, ran.out) == (1, "")
    assert "[not-found, HTTP 404]" in ran.err


async def test_events_of_an_ended_settlement_are_all_told_once_and_the_command_ends(place: Place) -> None:
    ran = await settlement("events", place.ended, "--json", url=place.url)
    events = [SettlementEvent.model_validate(line) for line in ran.lines()]
    assert ran.code == 0
    assert len({event.state for event in events}) == len(events) > 1
    assert events[-1].state in END_STATES


async def test_events_plain_count_from_nought(place: Place) -> None:
    ran = await settlement("events", place.ended, url=place.url)
    assert ran.rows()[0] == ["id", "at", "state", "decision", "reason"]
    assert [row[0] for row in ran.rows()[1:]] == [str(position) for position in range(len(ran.rows()) - 1)]


async def test_events_after_one_are_those_that_follow_it(place: Place) -> None:
    whole = await settlement("events", place.ended, "--json", url=place.url)
    rest = await settlement("events", place.ended, "--after", "0", "--json", url=place.url)
    assert (rest.code, rest.lines()) == (0, whole.lines()[1:])


async def test_events_after_the_last_are_none_and_the_command_ends(place: Place) -> None:
    """Nothing more will come, and the API says so only by the settlement's state."""
    whole = await settlement("events", place.ended, "--json", url=place.url)
    rest = await settlement("events", place.ended, "--after", str(len(whole.lines()) - 1), "--json", url=place.url)
    assert (rest.code, rest.out) == (0, "")


async def test_findings_are_json_lines_in_the_order_of_the_pages(place: Place) -> None:
    ran = await settlement("findings", "--status", "any", "--all", "--json", url=place.url)
    numbers = [finding["findingId"] for finding in ran.lines()]
    assert ran.code == 0
    assert numbers == sorted(numbers, reverse=True)
    first = (await place.get("/v1/reconciliation/findings"))["items"]
    assert ran.lines()[: len(first)] == first


async def test_findings_are_the_open_ones_unless_told_otherwise(place: Place) -> None:
    ran = await settlement("findings", url=place.url)
    assert ran.code == 0
    assert {row[1] for row in ran.rows()[1:]} <= {"OPEN"}


@pytest.mark.parametrize("command", [["exposure"], ["explain"], ["events"], ["findings"], ["batch-retry", "list"]])
async def test_plain_output_has_neither_escape_codes_nor_boxes(place: Place, command: list[str]) -> None:
    number = [place.ended] if command[0] in {"explain", "events"} else []
    ran = await settlement(*command, *number, url=place.url, FORCE_COLOR="1")
    assert ran.code == 0, ran.err
    assert ESCAPE not in ran.out + ran.err
    assert not BOXES.search(ran.out + ran.err)


async def test_a_terminal_gets_tables_and_colours(place: Place) -> None:
    async with terminal("exposure", url=place.url) as screen:
        ran = await screen.ends()
    assert ran.code == 0
    assert BOXES.search(ran.out)
    assert f"{ESCAPE}[1;31mABORTED" in ran.out


async def test_no_color_takes_the_colours_and_leaves_the_tables(place: Place) -> None:
    async with terminal("exposure", url=place.url, NO_COLOR="1") as screen:
        ran = await screen.ends()
    assert BOXES.search(ran.out)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", ran.out)
