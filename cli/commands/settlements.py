"""`settlement show`, `list` and `explain`: the state of settlements, as the ledger has it."""

from typing import Annotated

import typer

from cli.api import as_model
from cli.commands.settlement_views import LIST_COLUMNS, full_view, list_row, path_of
from cli.options import Cause, Company, From, Number, System, SystemFilter, To, choice, iso
from cli.pages import SETTLEMENTS, Pages
from cli.rendering import Block, Lines, Table, timestamp
from cli.session import session_of
from schemas.explanation import Explanation, NextStep
from schemas.settlement import Settlement
from settlement.states import CancelResult, State


def show(context: typer.Context, number: Number, *, system: System = None) -> None:
    """Show one settlement: its state, all external calls and all operator actions."""
    session = session_of(context)
    answer = session.api.get(path_of(number, system=system))
    session.screen.show_response(answer, lambda: full_view(answer.read(Settlement)))


def explain(context: typer.Context, number: Number, *, system: System = None) -> None:
    """Explain one settlement: what was sent, what came back, which rule applied, and what happens next."""
    session = session_of(context)
    answer = session.api.get(path_of(number, "explain", system=system))
    session.screen.show_response(answer, lambda: _explanation_view(answer.read(Explanation)))


def list_settlements(
    context: typer.Context,
    *,
    state: Annotated[State | None, choice(State, "STATE")] = None,
    order_id: Annotated[int | None, typer.Option(metavar="INTEGER", help="The orderId of the order.")] = None,
    user_name: Annotated[str | None, typer.Option(metavar="NAME", help="The userName of the order.")] = None,
    company: Company = None,
    system: SystemFilter = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="ISO 4217, such as USD.")] = None,
    cancel_result: Annotated[CancelResult | None, choice(CancelResult, "RESULT")] = None,
    cause: Cause = None,
    from_: From = None,
    to: To = None,
    cursor: Annotated[str | None, typer.Option(metavar="CURSOR", help="Continue an earlier list.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of settlements.")] = 50,
    all_: Annotated[bool, typer.Option("--all", help="List all; ignores --limit.")] = False,
) -> None:
    """List settlements, newest first. Filters are combined with AND."""
    session = session_of(context)
    params = {
        "state": state,
        "orderId": order_id,
        "userName": user_name,
        "companyId": company,
        "system": system,
        "currency": currency,
        "cancelResult": cancel_result,
        "cause": cause,
        "from": iso(from_),
        "to": iso(to),
        "cursor": cursor,
    }
    pages = Pages(session.api, SETTLEMENTS, params, None if all_ else limit)
    session.screen.show_items(pages, LIST_COLUMNS, lambda item: list_row(as_model(item, Settlement)))
    if pages.next_cursor is not None:
        session.screen.notify(f"there are more; use --all, or --cursor {pages.next_cursor}")


def _explanation_view(explanation: Explanation) -> list[Block]:
    title = f"{explanation.request_unique_no}: {explanation.state}, {explanation.decision or 'no decision yet'}"
    entries = [(entry.at, entry.text) for entry in explanation.timeline]
    next_lines = [_next_step(explanation.next), *explanation.next.commands]
    return [
        Lines([title, explanation.headline, explanation.money]),
        Table(("at", "what happened"), entries, "timeline"),
        Lines([*next_lines, *filter(None, [explanation.breaker, explanation.temporal_ui_url])]),
    ]


def _next_step(step: NextStep) -> str:
    if step.who == "nobody":
        return step.text
    due = f" Due by {timestamp(step.at)}." if step.at is not None else ""
    return f"Next ({step.who}): {step.text}{due}"
