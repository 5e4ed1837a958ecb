"""Arguments and options that several commands share, and those of the program itself, which may stand anywhere."""

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.text import clean
from contract.fields import is_unique_no
from settlement.calls import Rule
from settlement.operator_rules import RetryReason

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,127}")
_LOST_PLUS = re.compile(r"(?: |%2[Bb])[0-9]{2}(?::?[0-9]{2})?$")
"""The end of a moment that was taken out of a URL: its + is encoded, or has become a space."""

VALUED = ("--url", "--api-key-file", "--ca-file", "--timeout")
FLAGS = ("--json",)


def hoisted(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the program's own options in front, wherever they stood; the last of each counts.

    Nothing after `--` is moved. A value that looks like one of them is given as `--note=--json`.
    """
    front: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            rest += [argument, *left]
        elif argument in VALUED:
            front += [argument, *[value for value in [next(left, None)] if value is not None]]
        elif argument in FLAGS or argument.startswith(tuple(f"{option}=" for option in VALUED)):
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest


def choice(choices: type[StrEnum], metavar: str, *, about: str = "") -> Any:  # noqa: ANN401 - typer's own type
    """Return an option that takes one word of an enum, in any case.

    The help, the refusal of another word, and shell completion name the words as they are typed.
    """
    allowed = ", ".join(choices)
    by_word = {each.value.casefold(): each for each in choices}

    def parse(text: str) -> StrEnum:
        found = by_word.get(text.casefold())
        if found is None:
            message = f"{clean(text)!r} is not one of {allowed}"
            raise typer.BadParameter(message)
        return found

    def complete(incomplete: str) -> list[str]:
        # In the case that was begun with: shells drop a proposal that does not begin with what was typed.
        typed_small = incomplete != "" and incomplete == incomplete.lower()
        proposals = [each.value.lower() if typed_small else each.value for each in choices]
        return [each for each in proposals if each.startswith(incomplete)]

    return typer.Option(parser=parse, autocompletion=complete, metavar=metavar, help=f"{about}{allowed}.")


def _number(value: str) -> str:
    if not is_unique_no(value):
        message = "must have 1 to 48 characters and no control characters"
        raise typer.BadParameter(message)
    return value


def _id(value: str) -> str:
    if not _ID.fullmatch(value):
        message = "no such id can exist"
        raise typer.BadParameter(message)
    return value


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - refused below like any other without a zone
    if moment.tzinfo is None:
        message = "must be a moment with its zone, such as 2026-01-05T03:10Z or 2026-01-05T03:10+08:00"
        if _LOST_PLUS.search(text):
            message += "; write the + of the offset as it is: here %2B and a space do not stand for it"
        raise typer.BadParameter(message)
    return moment


Number = Annotated[str, typer.Argument(metavar="NUMBER", callback=_number, help="The settlement's requestUniqueNo.")]
BatchId = Annotated[str, typer.Argument(metavar="BATCH", callback=_id, help="The batch's id.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY", callback=_id, help="The key's id, never its secret.")]
Company = Annotated[int | None, typer.Option(metavar="INTEGER", help="companyId.")]
Cause = Annotated[
    Rule | None, choice(Rule, "RULE", about="The rule of the last call of one that is CANCELLING or ABORTED: ")
]
RetryWhy = Annotated[RetryReason, choice(RetryReason, "WORD")]
From = Annotated[
    datetime | None, typer.Option("--from", parser=_moment, metavar="MOMENT", help="Accepted at or after.")
]
To = Annotated[datetime | None, typer.Option("--to", parser=_moment, metavar="MOMENT", help="Accepted before.")]
Note = Annotated[str, typer.Option(metavar="TEXT", help="Why, in your own words; it is audited.")]


def iso(moment: datetime | None) -> str | None:
    """Return a moment as the API reads it."""
    return None if moment is None else moment.isoformat()
