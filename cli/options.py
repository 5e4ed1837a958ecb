"""Arguments and options that several commands share, and the program's own options, which may be anywhere."""

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.rendering import clean
from contract.fields import is_unique_no
from settlement.calls import Rule
from settlement.operator_rules import RetryReason
from settlement.system_names import is_system_name

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,127}")
_LOST_PLUS = re.compile(r"(?: |%2[Bb])[0-9]{2}(?::?[0-9]{2})?$")
"""The end of a time that was copied from a URL: its + is encoded, or has become a space."""

OPTIONS_WITH_VALUE = ("--url", "--api-key-file", "--ca-file", "--timeout")
FLAGS = ("--json",)


def program_options_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the program's own options moved to the front. If one is repeated, the last counts.

    Nothing after `--` is moved. A value that looks like one of these options must be written as `--note=--json`.
    """
    front: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            rest += [argument, *remaining]
        elif argument in OPTIONS_WITH_VALUE:
            front += [argument, *[value for value in [next(remaining, None)] if value is not None]]
        elif argument in FLAGS or argument.startswith(tuple(f"{option}=" for option in OPTIONS_WITH_VALUE)):
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest


def choice(choices: type[StrEnum], metavar: str, *, about: str = "") -> Any:  # noqa: ANN401 - typer's own type
    """Return an option that takes one value of an enum, in upper or lower case.

    The help, the error for another value, and the shell completion all list the values as they are typed.
    """
    allowed = ", ".join(choices)
    by_name = {each.value.casefold(): each for each in choices}

    def parse(text: str) -> StrEnum:
        found = by_name.get(text.casefold())
        if found is None:
            message = f"{clean(text)!r} is not one of {allowed}"
            raise typer.BadParameter(message)
        return found

    def complete(incomplete: str) -> list[str]:
        # Same case as typed: shells drop a proposal that does not start with the typed text.
        is_lower = incomplete != "" and incomplete == incomplete.lower()
        proposals = [each.value.lower() if is_lower else each.value for each in choices]
        return [each for each in proposals if each.startswith(incomplete)]

    return typer.Option(parser=parse, autocompletion=complete, metavar=metavar, help=f"{about}{allowed}.")


def _number(value: str) -> str:
    if not is_unique_no(value):
        message = "must have 1 to 48 characters and no control characters"
        raise typer.BadParameter(message)
    return value


def _system(value: str | None) -> str | None:
    if value is not None and not is_system_name(value):
        message = "must be the name of an external system: 1 to 32 lower-case letters, digits and hyphens"
        raise typer.BadParameter(message)
    return value


def _id(value: str) -> str:
    if not _ID.fullmatch(value):
        message = "is not a valid id"
        raise typer.BadParameter(message)
    return value


def parse_time(text: str) -> datetime:
    """Return a time of the command line. Raises BadParameter for one without a time zone."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = datetime.min  # noqa: DTZ901 - refused below because it has no time zone
    if time.tzinfo is None:
        message = "must be a time with a time zone, such as 2026-01-05T03:10Z or 2026-01-05T03:10+08:00"
        if _LOST_PLUS.search(text):
            message += "; write the + of the offset as +, not as %2B or a space"
        raise typer.BadParameter(message)
    return time


Number = Annotated[str, typer.Argument(metavar="NUMBER", callback=_number, help="The settlement's requestUniqueNo.")]
System = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        callback=_system,
        help="The settlement's external system; needed only if several settlements have this number.",
    ),
]
BatchId = Annotated[str, typer.Argument(metavar="BATCH", callback=_id, help="The batch's id.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY", callback=_id, help="The key's id, without its secret.")]
SystemFilter = Annotated[
    str | None, typer.Option("--system", metavar="NAME", callback=_system, help="The external system of the order.")
]
Company = Annotated[int | None, typer.Option(metavar="INTEGER", help="The companyId of the order.")]
Cause = Annotated[
    Rule | None, choice(Rule, "RULE", about="Rule of the last external call of a CANCELLING or ABORTED settlement: ")
]
RetryReasonOption = Annotated[RetryReason, choice(RetryReason, "REASON")]
From = Annotated[
    datetime | None,
    typer.Option("--from", parser=parse_time, metavar="TIME", help="Accepted at or after this time."),
]
To = Annotated[
    datetime | None, typer.Option("--to", parser=parse_time, metavar="TIME", help="Accepted before this time.")
]
Note = Annotated[str, typer.Option(metavar="TEXT", help="The reason in your own words; it is audited.")]


def iso(time: datetime | None) -> str | None:
    """Return a time in the format of the API (ISO 8601)."""
    return None if time is None else time.isoformat()
