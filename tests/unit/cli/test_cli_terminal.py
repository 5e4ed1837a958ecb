"""Output at a terminal: empty parts are not printed, and text cannot control the terminal."""

import json

import pytest

from tests.support.cli import terminal
from tests.unit.cli.api_answers import ended_settlement
from tests.unit.cli.conftest import ServeScript
from tests.unit.cli.scripted_api import json_answer


async def test_an_empty_list_prints_none(serve_script: ServeScript) -> None:
    url, _ = await serve_script(json_answer('{"items":[],"nextCursor":null}'))
    async with terminal("list", url=url) as screen:
        ran = await screen.ends()
    assert (ran.code, ran.out.strip()) == (0, "none")


async def test_empty_tables_are_not_printed(serve_script: ServeScript) -> None:
    url, _ = await serve_script(ended_settlement("ORD-1"))
    async with terminal("show", "ORD-1", url=url) as screen:
        ran = await screen.ends()
    assert ran.code == 0
    assert "CANCELLED" in ran.out
    assert "operator actions" not in ran.out
    assert "decidedAt" in ran.out


@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "table"])
async def test_text_from_a_settlement_cannot_control_the_terminal(serve_script: ServeScript, form: list[str]) -> None:
    """Neither escape codes nor markup take effect. JSON escapes control characters itself."""
    body = json.loads(bytes(ended_settlement("ORD-1").body)) | {"reason": "\x1b[2Jgone [red]x[/red]"}
    url, _ = await serve_script(json_answer(json.dumps(body)))
    async with terminal("show", "ORD-1", *form, url=url) as screen:
        ran = await screen.ends()
    assert ran.code == 0
    assert "\x1b[2J" not in ran.out
    assert "gone [red]x[/red]" in ran.out


async def test_the_preview_is_printed_before_the_question(serve_script: ServeScript) -> None:
    totals = [{"currency": "USD", "count": 200, "amount": "2500.00"}]
    preview = {"count": 200, "totals": totals, "oldestAcceptedAt": None, "newestAcceptedAt": None}
    url, script = await serve_script(json_answer(json.dumps(preview)))
    why = ["--reason", "OTHER", "--note", "n"]
    async with terminal("batch-retry", "start", "--company", "7", *why, url=url) as screen:
        await screen.shows("[y/N]")
        before_answer = screen.seen
        screen.interrupts()
        ran = await screen.ends()
    assert before_answer.index("2500.00") < before_answer.index("for these 200? [y/N]")
    assert ran.code == 130
    assert [each.method for each in script.requests] == ["GET"]
