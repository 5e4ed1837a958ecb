"""`settlement show`, `list` and `explain`: what has become of orders, from the ledger alone."""

from typing import Annotated

import typer

from cli.api import as_model
from cli.commands.settlement_views import LIST_COLUMNS, list_row, path_of, whole
from cli.options import Cause, Company, From, Number, To, choice, iso
from cli.pages import SETTLEMENTS, Pages
from cli.rendering import Block, Lines, Table
from cli.session import session_of
from cli.text import moment
from schemas.explanation import Explanation
from schemas.settlement import Settlement
from settlement.states import CancelResult, State


def show(context: typer.Context, number: Number) -> None:
    """Show one settlement: where it stands, every external call, every operator's act."""
    session = session_of(context)
    answer = session.api.get(path_of(number))
    session.screen.answer(answer, lambda: whole(answer.read(Settlement)))


def explain(context: typer.Context, number: Number) -> None:
    """Tell one settlement's story: what was sent, what came back, by which rule, and what happens next."""
    session = session_of(context)
    answer = session.api.get(path_of(number, "explain"))
    session.screen.answer(answer, lambda: _story(answer.read(Explanation)))


def list_settlements(
    context: typer.Context,
    *,
    state: Annotated[State | None, choice(State, "STATE")] = None,
    order_id: Annotated[int | None, typer.Option(metavar="INTEGER")] = None,
    user_name: Annotated[str | None, typer.Option(metavar="NAME")] = None,
    company: Company = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE")] = None,
    cancel_result: Annotated[CancelResult | None, choice(CancelResult, "RESULT")] = None,
    cause: Cause = None,
    from_: From = None,
    to: To = None,
    cursor: Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on where an earlier list ended.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    all_: Annotated[bool, typer.Option("--all", help="To the end, whatever the limit.")] = False,
) -> None:
    """List settlements, newest first; every filter that is given must fit."""
    session = session_of(context)
    params = {
        "state": state,
        "orderId": order_id,
        "userName": user_name,
        "companyId": company,
        "currency": currency,
        "cancelResult": cancel_result,
        "cause": cause,
        "from": iso(from_),
        "to": iso(to),
        "cursor": cursor,
    }
    pages = Pages(session.api, SETTLEMENTS, params, None if all_ else limit)
    session.screen.items(pages, LIST_COLUMNS, lambda item: list_row(as_model(item, Settlement)))
    if pages.next is not None:
        session.screen.say(f"there are more: --all, or --cursor {pages.next}")


def _story(told: Explanation) -> list[Block]:
    step = told.next
    due = f" (by {moment(step.at)})" if step.at is not None else ""
    return [
        Lines([f"{told.request_unique_no}: {told.state}, {told.decision or 'undecided'}", told.headline, told.money]),
        Table(("at", "what happened"), [(entry.at, entry.text) for entry in told.timeline], "timeline"),
        Lines([f"next, by {step.who}: {step.text}{due}", *step.commands, *filter(None, [told.temporal_ui_url])]),
    ]
