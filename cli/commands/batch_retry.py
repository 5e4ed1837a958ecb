"""`settlement batch-retry …`: have cancel adjust tried again for many aborted settlements."""

import json
import sys
from typing import Annotated

import typer

from cli.api import ApiResponse, as_model
from cli.commands.batch_retry_progress import watch
from cli.commands.batch_retry_views import (
    BATCH_COLUMNS,
    ITEM_COLUMNS,
    batch_row,
    batch_view,
    how_it_ended,
    item_row,
    preview_view,
)
from cli.commands.settlement_views import LIST_COLUMNS, list_row
from cli.exits import CliError, NoAnswerError, UsageError
from cli.options import BatchId, Cause, Company, From, Note, RetryWhy, To, iso
from cli.pages import SETTLEMENTS, Pages, batch_items
from cli.session import Session, session_of
from schemas.settlement import Settlement
from settlement.batch_retry import RATE_DEFAULT_PER_S, RATE_MAX_PER_S, RATE_MIN_PER_S, Batch, BatchItem, BatchPreview
from settlement.states import State

BATCHES = "/v1/batch-retries"
PREVIEW = "/v1/batch-retry-preview"

All = Annotated[bool, typer.Option("--all", help="Every aborted settlement; goes without the options above.")]

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Have cancel adjust tried again for many aborted settlements."
)


@app.command()
def preview(
    context: typer.Context,
    *,
    company: Company = None,
    cause: Cause = None,
    from_: From = None,
    to: To = None,
    all_: All = False,
    items: Annotated[bool, typer.Option("--items", help="List the settlements instead, newest first.")] = False,
) -> None:
    """Show what a batch would touch: how many, how much money, since when. A selection must be given."""
    session = session_of(context)
    if items:
        # The list of settlements takes the same selection, and pages through it.
        session.api.get(PREVIEW, _in_query(_selection(company, cause, iso(from_), iso(to), all_=all_)))
        where = _selection(company, cause, iso(from_), iso(to), all_=False) | {"state": State.ABORTED.value}
        found = Pages(session.api, SETTLEMENTS, where)
        session.screen.items(found, LIST_COLUMNS, lambda item: list_row(as_model(item, Settlement)))
        return
    answer = session.api.get(PREVIEW, _in_query(_selection(company, cause, iso(from_), iso(to), all_=all_)))
    session.screen.answer(answer, lambda: preview_view(answer.read(BatchPreview)))


@app.command()
def start(
    context: typer.Context,
    *,
    company: Company = None,
    cause: Cause = None,
    from_: From = None,
    to: To = None,
    all_: All = False,
    reason: RetryWhy,
    note: Note,
    rate: Annotated[
        float,
        typer.Option(min=RATE_MIN_PER_S, max=RATE_MAX_PER_S, metavar="NUMBER", help="At most so many a second."),
    ] = RATE_DEFAULT_PER_S,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed where there is nobody to ask.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Begin it and leave.")] = False,
) -> None:
    """Preview, ask, begin a batch, and watch until it and the compensations it began have ended.

    Exit code 4: done, but something was not retried or is aborted again; `report` names each.
    """
    session = session_of(context)
    selection = _selection(company, cause, iso(from_), iso(to), all_=all_)
    count = _previewed(session, selection)
    if not count:
        session.screen.say("nothing to retry")
        return
    _ask(session, count, yes=yes)
    order = {
        "selection": {name: value for name, value in selection.items() if value is not None},
        "reasonCode": reason,
        "note": note,
        "expectedCount": count,
        "ratePerS": rate,
    }
    answer = _begin(session, json.dumps(order).encode())
    batch = answer.read(Batch)
    session.screen.say(f"batch {batch.batch_id} begun")
    if no_wait:
        session.screen.answer(answer, lambda: batch_view(batch))
        return
    _watch_to_the_end(session, batch.batch_id)


@app.command()
def status(
    context: typer.Context,
    batch: BatchId,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Watch it to the end, as start does.")] = False,
) -> None:
    """Show a batch and how far it has come."""
    session = session_of(context)
    if follow:
        _watch_to_the_end(session, batch)
        return
    answer = session.api.get(f"{BATCHES}/{batch}")
    session.screen.answer(answer, lambda: batch_view(answer.read(Batch)))


@app.command()
def stop(context: typer.Context, batch: BatchId) -> None:
    """Stop a batch: what was not retried by now is left as it is. Repeating it is harmless."""
    session = session_of(context)
    answer = session.api.post(f"{BATCHES}/{batch}/stop", repeatable=True)
    session.screen.answer(answer, lambda: batch_view(answer.read(Batch)))


@app.command()
def report(context: typer.Context, batch: BatchId) -> None:
    """List every settlement of a batch: what the retry came to, and where it stands now."""
    session = session_of(context)
    items = Pages(session.api, batch_items(batch), {})
    session.screen.items(items, ITEM_COLUMNS, lambda item: item_row(as_model(item, BatchItem)))


@app.command("list")
def list_batches(context: typer.Context, *, limit: Annotated[int, typer.Option(min=1, max=200)] = 20) -> None:
    """List batches, newest first."""
    session = session_of(context)
    answer = session.api.get(BATCHES, {"limit": limit})
    session.screen.items(answer.items(), BATCH_COLUMNS, lambda item: batch_row(as_model(item, Batch)))


def _selection(
    company: int | None, cause: str | None, from_: str | None, to: str | None, *, all_: bool
) -> dict[str, str | int | None]:
    return {"companyId": company, "cause": cause, "from": from_, "to": to, "all": all_ or None}


def _in_query(selection: dict[str, str | int | None]) -> dict[str, str | int | None]:
    return selection | ({"all": "true"} if selection["all"] else {})


def _previewed(session: Session, selection: dict[str, str | int | None]) -> int:
    """Show the preview on stderr: stdout is for the batch."""
    found = session.api.get(PREVIEW, _in_query(selection)).read(BatchPreview)
    session.screen.tell(*preview_view(found))
    return found.count


def _ask(session: Session, count: int, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        message = "nobody to ask: --yes begins it"
        raise UsageError(message)
    session.screen.say(f"have cancel adjust tried again for these {count}? [y/N]")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        message = "nothing was begun"
        raise CliError(message)


def _begin(session: Session, content: bytes) -> ApiResponse:
    """Send it once: after no answer there may be a batch, and a second one must not be begun blindly."""
    try:
        return session.api.post(BATCHES, content)
    except NoAnswerError as error:
        if not error.never_sent:
            session.screen.say("it may have been begun all the same; settlement batch-retry list tells")
        raise


def _watch_to_the_end(session: Session, batch_id: str) -> None:
    answer = watch(session, batch_id)
    batch = answer.read(Batch)
    session.screen.answer(answer, lambda: batch_view(batch))
    raise typer.Exit(how_it_ended(batch))
