"""`settlement retry` and `resolve`: what an operator may do to an aborted settlement."""

import json
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from cli.api import ApiResponse
from cli.commands.settlement_views import path_of, summary
from cli.exits import Exit, NoAnswerError
from cli.options import Note, Number, RetryWhy, choice
from cli.retry_policy import POLL_EVERY_S, RetryPolicy
from cli.session import Session, session_of
from schemas.explanation import command_on
from schemas.settlement import Settlement
from settlement.operator_rules import ResolveReason
from settlement.states import END_STATES, State

WAIT_MAX_S = 3600


def retry(
    context: typer.Context,
    number: Number,
    *,
    reason: RetryWhy,
    note: Note,
    reference: Annotated[str | None, typer.Option(metavar="TEXT", help="The broker's ticket or statement.")] = None,
    wait: Annotated[
        float, typer.Option(min=0, max=WAIT_MAX_S, metavar="SECONDS", help="Wait so long for how it ends; 0: do not.")
    ] = 0,
) -> None:
    """Have cancel adjust tried again for an aborted settlement: the same number, a full round of attempts.

    With --wait, exit code 0 means that it has ended, 4 that it is aborted again, 5 that neither came within the wait.
    """
    body = {"reasonCode": reason, "note": note, **({} if reference is None else {"brokerReference": reference})}
    session = session_of(context)
    answer = _send(session, number, "cancel-adjust-retries", body)
    code = Exit.OK
    if wait:
        answer, code = _ended(session, number, answer, wait)
    session.screen.answer(answer, lambda: [summary(answer.read(Settlement))])
    if code is Exit.UNDECIDED:
        session.screen.say(f"neither ended nor aborted again after {wait:g} s; settlement show {number} tells later")
    raise typer.Exit(code)


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
    session = session_of(context)
    answer = _send(session, number, "resolution", body)
    session.screen.answer(answer, lambda: [summary(answer.read(Settlement))])


def _send(session: Session, number: str, act: str, body: Mapping[str, str]) -> ApiResponse:
    """Send it once: after a 503 it may have been done, and only the settlement's state tells."""
    try:
        return session.api.post(path_of(number, act), json.dumps(body).encode())
    except NoAnswerError as error:
        if not error.never_sent:
            session.screen.say(f"it may have been done all the same; {command_on(number, 'show')} tells")
        raise


def _ended(session: Session, number: str, answer: ApiResponse, wait_s: float) -> tuple[ApiResponse, Exit]:
    """Read the settlement until the retry has led to its end or back to ABORTED; an older record does not count."""
    acts = len(answer.read(Settlement).operator_actions)
    retry_policy = RetryPolicy(session.screen.say)
    ends_at = time.monotonic() + wait_s
    while True:
        settlement = answer.read(Settlement)
        if settlement.state in END_STATES:
            return answer, Exit.OK
        if settlement.state is State.ABORTED and len(settlement.operator_actions) >= acts:
            return answer, Exit.BAD
        if time.monotonic() >= ends_at:
            return answer, Exit.UNDECIDED
        time.sleep(POLL_EVERY_S)
        answer = retry_policy.call(lambda: session.api.get(path_of(number)))
