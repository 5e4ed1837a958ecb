"""`settlement retry`, `resolve`, `approve` and `withdraw`: the actions of an operator on an aborted settlement."""

import json
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from cli.api import ApiResponse
from cli.commands.settlement_views import path_of, summary
from cli.exits import Exit, NoAnswerError
from cli.options import Note, Number, RetryReasonOption, System, choice
from cli.retry_policy import POLL_INTERVAL_S, RetryPolicy
from cli.session import Session, session_of
from schemas.explanation import command_on
from schemas.settlement import Settlement
from settlement.operator_rules import ResolveReason
from settlement.states import END_STATES, State

WAIT_MAX_S = 3600

ProposalNo = Annotated[
    int, typer.Option(min=0, metavar="NO", help="Number of the proposal, as explain shows it. It may not be outdated.")
]


def retry(
    context: typer.Context,
    number: Number,
    *,
    reason: RetryReasonOption,
    note: Note,
    system: System = None,
    reference: Annotated[str | None, typer.Option(metavar="TEXT", help="The broker's ticket or statement.")] = None,
    wait: Annotated[
        float, typer.Option(min=0, max=WAIT_MAX_S, metavar="SECONDS", help="Maximum wait for the result; 0: no wait.")
    ] = 0,
) -> None:
    """Retry cancel adjust for an aborted settlement: a new round of attempts with the same number.

    Exit codes with --wait: 0, the settlement has ended; 4, it is aborted again; 5, neither within the wait.
    """
    body = {"reasonCode": reason, "note": note, **({} if reference is None else {"brokerReference": reference})}
    session = session_of(context)
    answer = _send(session, number, system, "cancel-adjust-retries", body)
    code = Exit.OK
    if wait:
        answer, code = _wait_for_result(session, answer, wait)
    session.screen.show_response(answer, lambda: [summary(answer.read(Settlement))])
    if code is Exit.NO_RESULT:
        shown = answer.read(Settlement)
        show = command_on(shown.request_unique_no, "show", system=shown.system)
        session.screen.notify(f"no result after {wait:g} s; check later with: {show}")
    raise typer.Exit(code)


def resolve(
    context: typer.Context,
    number: Number,
    *,
    reason: Annotated[ResolveReason, choice(ResolveReason, "REASON")],
    note: Note,
    reference: Annotated[str, typer.Option(metavar="TEXT", help="The broker's ticket or statement.")],
    system: System = None,
) -> None:
    """Close an aborted settlement. Nothing is sent to the broker. It cannot be undone.

    Above the four-eyes amount this only proposes the resolution; an operator of another client approves it.
    """
    body = {"reasonCode": reason, "note": note, "brokerReference": reference}
    session = session_of(context)
    answer = _send(session, number, system, "resolution", body)
    session.screen.show_response(answer, lambda: [summary(answer.read(Settlement))])
    settlement = answer.read(Settlement)
    if settlement.state is State.ABORTED and (proposal := settlement.resolution_proposal) is not None:
        command = command_on(
            number, "approve", f"--proposal {proposal.proposal_no}", '--note "why"', system=settlement.system
        )
        session.screen.notify(f"proposed, not resolved; an operator of another client approves it with: {command}")


def approve(context: typer.Context, number: Number, *, proposal: ProposalNo, note: Note, system: System = None) -> None:
    """Close an aborted settlement as an operator of another client has proposed. It cannot be undone."""
    _act_on_proposal(context, number, system, "resolution-approvals", {"proposalNo": proposal, "note": note})


def withdraw(
    context: typer.Context, number: Number, *, proposal: ProposalNo, note: Note, system: System = None
) -> None:
    """Remove the proposed resolution of an aborted settlement. Any operator may."""
    _act_on_proposal(context, number, system, "resolution-withdrawals", {"proposalNo": proposal, "note": note})


def _act_on_proposal(
    context: typer.Context, number: str, system: str | None, action: str, body: Mapping[str, object]
) -> None:
    session = session_of(context)
    answer = _send(session, number, system, action, body)
    session.screen.show_response(answer, lambda: [summary(answer.read(Settlement))])


def _send(session: Session, number: str, system: str | None, action: str, body: Mapping[str, object]) -> ApiResponse:
    """Send the action once. After a 503 it may have been done; the state of the settlement shows it."""
    try:
        return session.api.post(path_of(number, action, system=system), json.dumps(body).encode())
    except NoAnswerError as error:
        if not error.never_sent:
            show = command_on(number, "show", system=system)
            session.screen.notify(f"it may have been done; check with: {show}")
        raise


def _wait_for_result(session: Session, answer: ApiResponse, wait_s: float) -> tuple[ApiResponse, Exit]:
    """Poll the settlement until it has ended or is ABORTED again, or until the wait is over.

    An ABORTED record with fewer operator actions than `answer` is from before the retry, and is ignored.
    """
    retried = answer.read(Settlement)
    path = path_of(retried.request_unique_no, system=retried.system)
    action_count = len(retried.operator_actions)
    retry_policy = RetryPolicy(session.screen.notify)
    deadline = time.monotonic() + wait_s
    while True:
        settlement = answer.read(Settlement)
        if settlement.state in END_STATES:
            return answer, Exit.OK
        if settlement.state is State.ABORTED and len(settlement.operator_actions) >= action_count:
            return answer, Exit.BAD_RESULT
        if time.monotonic() >= deadline:
            return answer, Exit.NO_RESULT
        time.sleep(POLL_INTERVAL_S)
        answer = retry_policy.call(lambda: session.api.get(path))
