"""What operators read, in every output format; tests/e2e/test_e2e_cli.py runs it on the real system."""

import re

import pytest

from schemas.explanation import Explanation
from settlement.exposure import Exposure
from settlement.snapshot import SettlementEvent
from settlement.states import END_STATES
from tests.support.cli import settlement, terminal
from tests.unit.cli.conftest import FakeServer

ESCAPE = "\x1b"
BOXES = re.compile("[\u2500-\u257f]")


async def test_exposure_as_json_is_the_unchanged_response(api: FakeServer) -> None:
    ran = await settlement("exposure", "--json", url=api.url)
    assert ran.code == 0
    assert ran.json() | {"asOf": ""} == await api.get("/v1/exposure") | {"asOf": ""}


async def test_plain_exposure_has_every_sum_and_every_line(api: FakeServer) -> None:
    ran = await settlement("exposure", url=api.url)
    response = Exposure.model_validate(await api.get("/v1/exposure"))
    assert ran.code == 0
    _, sums, lines = ran.out.split("\n\n")
    assert [line.split("\t") for line in sums.splitlines()[1:]] == [
        [total.currency, str(total.count), total.amount] for total in response.totals
    ]
    assert [line.split("\t")[:6] for line in lines.splitlines()[1:]] == [
        [each.currency, str(each.company_id), each.state, each.age, str(each.count), each.amount]
        for each in response.lines
    ]


async def test_explain_as_json_is_the_unchanged_response(api: FakeServer) -> None:
    ran = await settlement("explain", api.ended, "--json", url=api.url)
    assert (ran.code, ran.json()) == (0, await api.get(f"/v1/settlements/{api.ended}/explain"))


async def test_explain_shows_every_part_in_order(api: FakeServer) -> None:
    ran = await settlement("explain", api.ended, url=api.url)
    explanation = Explanation.model_validate(await api.get(f"/v1/settlements/{api.ended}/explain"))
    parts = [
        explanation.headline,
        explanation.money,
        *(entry.text for entry in explanation.timeline),
        explanation.next.text,
        *explanation.next.commands,
    ]
    assert ran.code == 0
    position = 0
    for part in parts:
        position = ran.out.index(part, position)


async def test_an_unknown_number_is_refused(api: FakeServer) -> None:
    ran = await settlement("explain", "ORD-UNKNOWN", url=api.url)
    assert (ran.code, ran.out) == (1, "")
    assert "[not-found, HTTP 404]" in ran.err


async def test_events_of_an_ended_settlement_are_printed_once_and_the_command_ends(api: FakeServer) -> None:
    ran = await settlement("events", api.ended, "--json", url=api.url)
    events = [SettlementEvent.model_validate(line) for line in ran.lines()]
    assert ran.code == 0
    assert len({event.state for event in events}) == len(events) > 1
    assert events[-1].state in END_STATES


async def test_plain_events_are_numbered_from_zero(api: FakeServer) -> None:
    ran = await settlement("events", api.ended, url=api.url)
    assert ran.rows()[0] == ["id", "at", "state", "decision", "reason"]
    assert [row[0] for row in ran.rows()[1:]] == [str(position) for position in range(len(ran.rows()) - 1)]


async def test_events_after_an_id_start_with_the_next_one(api: FakeServer) -> None:
    whole = await settlement("events", api.ended, "--json", url=api.url)
    rest = await settlement("events", api.ended, "--after", "0", "--json", url=api.url)
    assert (rest.code, rest.lines()) == (0, whole.lines()[1:])


async def test_events_after_the_last_id_print_nothing_and_the_command_ends(api: FakeServer) -> None:
    """No event follows, and only the state of the settlement shows it."""
    whole = await settlement("events", api.ended, "--json", url=api.url)
    rest = await settlement("events", api.ended, "--after", str(len(whole.lines()) - 1), "--json", url=api.url)
    assert (rest.code, rest.out) == (0, "")


async def test_findings_are_json_lines_in_the_order_of_the_pages(api: FakeServer) -> None:
    ran = await settlement("findings", "--status", "any", "--all", "--json", url=api.url)
    numbers = [finding["findingId"] for finding in ran.lines()]
    assert ran.code == 0
    assert numbers == sorted(numbers, reverse=True)
    first = (await api.get("/v1/reconciliation/findings"))["items"]
    assert ran.lines()[: len(first)] == first


async def test_findings_lists_open_ones_by_default(api: FakeServer) -> None:
    ran = await settlement("findings", url=api.url)
    assert ran.code == 0
    assert {row[1] for row in ran.rows()[1:]} <= {"OPEN"}


@pytest.mark.parametrize("command", [["exposure"], ["explain"], ["events"], ["findings"], ["batch-retry", "list"]])
async def test_plain_output_has_no_escape_codes_and_no_boxes(api: FakeServer, command: list[str]) -> None:
    number = [api.ended] if command[0] in {"explain", "events"} else []
    ran = await settlement(*command, *number, url=api.url, FORCE_COLOR="1")
    assert ran.code == 0, ran.err
    assert ESCAPE not in ran.out + ran.err
    assert not BOXES.search(ran.out + ran.err)


async def test_a_terminal_gets_tables_and_colours(api: FakeServer) -> None:
    async with terminal("exposure", url=api.url) as screen:
        ran = await screen.ends()
    assert ran.code == 0
    assert BOXES.search(ran.out)
    assert f"{ESCAPE}[1;31mABORTED" in ran.out


async def test_no_color_removes_colours_and_keeps_tables(api: FakeServer) -> None:
    async with terminal("exposure", url=api.url, NO_COLOR="1") as screen:
        ran = await screen.ends()
    assert BOXES.search(ran.out)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", ran.out)
