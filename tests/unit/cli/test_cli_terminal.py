"""At a terminal, a person sees what there is, and is spared what there is not."""

import json

import pytest

from tests.support.cli import terminal
from tests.unit.cli.api_answers import settlement_at_its_end
from tests.unit.cli.conftest import Script
from tests.unit.cli.scripted_api import json_answer


async def test_an_empty_list_is_said_in_a_word(scripted: Script) -> None:
    url, _ = await scripted(json_answer('{"items":[],"nextCursor":null}'))
    async with terminal("list", url=url) as screen:
        ran = await screen.ends()
    assert (ran.code, ran.out.strip()) == (0, "none")


async def test_tables_without_a_row_are_left_out(scripted: Script) -> None:
    url, _ = await scripted(settlement_at_its_end("ORD-1"))
    async with terminal("show", "ORD-1", url=url) as screen:
        ran = await screen.ends()
    assert ran.code == 0
    assert "CANCELLED" in ran.out
    assert "operator acts" not in ran.out
    assert "decidedAt" in ran.out


@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "table"])
async def test_what_an_answer_holds_cannot_steer_the_terminal(scripted: Script, form: list[str]) -> None:
    """Neither escape codes nor markup: a broker's text is text. JSON writes control characters out by itself."""
    body = json.loads(bytes(settlement_at_its_end("ORD-1").body)) | {"reason": "\x1b[2Jgone [red]x[/red]"}
    url, _ = await scripted(json_answer(json.dumps(body)))
    async with terminal("show", "ORD-1", *form, url=url) as screen:
        ran = await screen.ends()
    assert ran.code == 0
    assert "\x1b[2J" not in ran.out
    assert "gone [red]x[/red]" in ran.out


async def test_a_preview_is_seen_before_the_question(scripted: Script) -> None:
    totals = [{"currency": "USD", "count": 200, "amount": "2500.00"}]
    preview = {"count": 200, "totals": totals, "oldestAcceptedAt": None, "newestAcceptedAt": None}
    url, script = await scripted(json_answer(json.dumps(preview)))
    why = ["--reason", "OTHER", "--note", "n"]
    async with terminal("batch-retry", "start", "--company", "7", *why, url=url) as screen:
        await screen.shows("[y/N]")
        seen = screen.seen
        screen.interrupts()
        ran = await screen.ends()
    assert seen.index("2500.00") < seen.index("for these 200? [y/N]")
    assert ran.code == 130
    assert [each.method for each in script.seen] == ["GET"]
