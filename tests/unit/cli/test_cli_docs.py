"""docs/cli.md and the help contain every command and every exit code."""

import re
from pathlib import Path

import typer

from cli.app import app
from cli.exits import Exit
from tests.support.cli import settlement

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def commands(of: typer.Typer, before: str = "settlement") -> list[str]:
    """Return every command as it is typed, with its group."""
    own = [f"{before} {each.name or each.callback.__name__}" for each in of.registered_commands if each.callback]
    groups = [(each.typer_instance, each.name) for each in of.registered_groups]
    return own + [name for group, word in groups if group for name in commands(group, f"{before} {word}")]


def test_every_command_has_an_example() -> None:
    typed = re.findall(r"^\$ (settlement .*)$", PAGE, re.MULTILINE)
    assert len(commands(app)) == 35
    assert [each for each in commands(app) if not any(f"{line} ".startswith(f"{each} ") for line in typed)] == []


def test_every_exit_code_is_documented() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)] == list(Exit)


async def test_the_help_names_every_exit_code() -> None:
    ran = await settlement("--help")
    assert [int(code) for code in re.findall(r"^ +(\d+)  ", ran.out, re.MULTILINE)] == list(Exit)
