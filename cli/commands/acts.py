"""`settlement retry` and `resolve`: what an operator may do to an aborted settlement."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer

from cli.commands.views import path_of, summary
from cli.exits import NoAnswerError
from cli.options import Note, Number, RetryWhy, choice
from cli.session import Session, session_of
from contract.operator_rules import ResolveReason
from contract.settlement import Settlement


def retry(
    context: typer.Context,
    number: Number,
    *,
    reason: RetryWhy,
    note: Note,
    reference: Annotated[str | None, typer.Option(metavar="TEXT", help="The broker's ticket or statement.")] = None,
) -> None:
    """Have cancel adjust tried again for an aborted settlement: the same number, a full round of attempts."""
    body = {"reasonCode": reason, "note": note, **({} if reference is None else {"brokerReference": reference})}
    _act(session_of(context), number, "cancel-adjust-retries", body)


def resolve(
    context: typer.Context,
    number: Number,
    *,
    reason: Annotated[ResolveReason, choice(ResolveReason, "WORD")],
    note: Note,
    reference: Annotated[str, typer.Option(metavar="TEXT", help="The broker's ticket or statement.")],
) -> None:
    """Close an aborted settlement by hand: nothing is sent, and it cannot be taken back."""
    body = {"reasonCode": reason, "note": note, "brokerReference": reference}
    _act(session_of(context), number, "resolution", body)


def _act(session: Session, number: str, act: str, body: Mapping[str, str]) -> None:
    """Send it once: after a 503 it may have been done, and only the settlement's state tells."""
    try:
        answer = session.api.post(path_of(number, act), json.dumps(body).encode())
    except NoAnswerError as error:
        if not error.never_sent:
            session.screen.say(f"it may have been done all the same; settlement show {number} tells")
        raise
    session.screen.answer(answer, lambda: [summary(answer.read(Settlement))])
