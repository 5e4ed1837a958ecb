"""`settlement batch-retry …`: retry cancel adjust for many aborted settlements."""

import json
import sys
from typing import Annotated

import typer

from cli.api import ApiResponse, as_model
from cli.commands.batch_retry_progress import follow_batch
from cli.commands.batch_retry_views import (
    BATCH_COLUMNS,
    ITEM_COLUMNS,
    batch_row,
    batch_view,
    exit_code_of,
    item_row,
    preview_view,
)
from cli.commands.settlement_views import LIST_COLUMNS, list_row
from cli.exits import CliError, NoAnswerError, UsageError
from cli.options import BatchId, Cause, Company, From, Note, RetryReasonOption, SystemFilter, To, iso
from cli.pages import SETTLEMENTS, Pages, batch_items
from cli.session import Session, session_of
from schemas.settlement import Settlement
from settlement.amounts import parse_amounts
from settlement.batch_retry import RATE_DEFAULT_PER_S, RATE_MAX_PER_S, RATE_MIN_PER_S, Batch, BatchItem, BatchPreview
from settlement.states import State

BATCHES = "/v1/batch-retries"
PREVIEW = "/v1/batch-retry-preview"

All = Annotated[bool, typer.Option("--all", help="Select every aborted settlement; excludes the options above.")]
Rate = Annotated[
    float,
    typer.Option(min=RATE_MIN_PER_S, max=RATE_MAX_PER_S, metavar="NUMBER", help="Maximum settlements per second."),
]

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Retry cancel adjust for many aborted settlements.")


def _amounts(text: str) -> dict[str, str]:
    try:
        return parse_amounts(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


SumsMax = Annotated[
    dict[str, str] | None,
    typer.Option(
        "--sum-max",
        parser=_amounts,
        metavar="AMOUNTS",
        help="Start nothing if the sum in a currency is above this, such as USD=5000,EUR=900.50.",
    ),
]


@app.command()
def preview(
    context: typer.Context,
    *,
    system: SystemFilter = None,
    company: Company = None,
    cause: Cause = None,
    from_: From = None,
    to: To = None,
    all_: All = False,
    items: Annotated[
        bool, typer.Option("--items", help="List the settlements instead of the sums, newest first.")
    ] = False,
) -> None:
    """Show what a batch would retry: number, amounts and age of the settlements. A selection is required."""
    session = session_of(context)
    selection = _selection(system, company, cause, iso(from_), iso(to), all_=all_)
    if items:
        # The preview validates the selection, of which one is required; the list of settlements has the pages.
        session.api.get(PREVIEW, _query(selection))
        where = selection | {"all": None, "state": State.ABORTED.value}
        pages = Pages(session.api, SETTLEMENTS, where)
        session.screen.show_items(pages, LIST_COLUMNS, lambda item: list_row(as_model(item, Settlement)))
        return
    answer = session.api.get(PREVIEW, _query(selection))
    session.screen.show_response(answer, lambda: preview_view(answer.read(BatchPreview)))


@app.command()
def start(
    context: typer.Context,
    *,
    system: SystemFilter = None,
    company: Company = None,
    cause: Cause = None,
    from_: From = None,
    to: To = None,
    all_: All = False,
    reason: RetryReasonOption,
    note: Note,
    rate: Rate = RATE_DEFAULT_PER_S,
    sums_max: SumsMax = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation; required without a terminal.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the end of the batch.")] = False,
) -> None:
    """Show a preview, ask for confirmation, start a batch, and follow it until its compensations have ended.

    Exit code 4: the batch has ended, but settlements were not retried or are aborted again; `report` lists them.
    """
    session = session_of(context)
    selection = _selection(system, company, cause, iso(from_), iso(to), all_=all_)
    count = _show_preview(session, selection)
    if not count:
        session.screen.notify("nothing to retry")
        return
    _confirm(session, count, yes=yes)
    values = {name: value for name, value in selection.items() if value is not None}
    request = {"selection": values, "reasonCode": reason, "note": note, "expectedCount": count, "ratePerS": rate}
    if sums_max is not None:
        request["sumsMax"] = sums_max
    answer = _start(session, json.dumps(request).encode())
    batch = answer.read(Batch)
    session.screen.notify(f"batch {batch.batch_id} started")
    if no_wait:
        session.screen.show_response(answer, lambda: batch_view(batch))
        return
    _follow_to_end(session, batch.batch_id)


@app.command()
def status(
    context: typer.Context,
    batch: BatchId,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Follow it to its end, as start does.")] = False,
) -> None:
    """Show a batch and its progress."""
    session = session_of(context)
    if follow:
        _follow_to_end(session, batch)
        return
    answer = session.api.get(f"{BATCHES}/{batch}")
    session.screen.show_response(answer, lambda: batch_view(answer.read(Batch)))


@app.command()
def stop(context: typer.Context, batch: BatchId) -> None:
    """Stop a batch. Settlements that were not retried so far stay as they are. Idempotent."""
    session = session_of(context)
    answer = session.api.post(f"{BATCHES}/{batch}/stop", idempotent=True)
    session.screen.show_response(answer, lambda: batch_view(answer.read(Batch)))


@app.command()
def report(context: typer.Context, batch: BatchId) -> None:
    """List every settlement of a batch: the result of its retry, and its current state."""
    session = session_of(context)
    items = Pages(session.api, batch_items(batch), {})
    session.screen.show_items(items, ITEM_COLUMNS, lambda item: item_row(as_model(item, BatchItem)))


@app.command("list")
def list_batches(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number of batches.")] = 20,
) -> None:
    """List batches, newest first."""
    session = session_of(context)
    answer = session.api.get(BATCHES, {"limit": limit})
    session.screen.show_items(answer.items(), BATCH_COLUMNS, lambda item: batch_row(as_model(item, Batch)))


def _selection(
    system: str | None, company: int | None, cause: str | None, from_: str | None, to: str | None, *, all_: bool
) -> dict[str, str | int | None]:
    return {"system": system, "companyId": company, "cause": cause, "from": from_, "to": to, "all": all_ or None}


def _query(selection: dict[str, str | int | None]) -> dict[str, str | int | None]:
    return selection | ({"all": "true"} if selection["all"] else {})


def _show_preview(session: Session, selection: dict[str, str | int | None]) -> int:
    """Show the preview on stderr, because stdout is for the batch; return its number of settlements."""
    found = session.api.get(PREVIEW, _query(selection)).read(BatchPreview)
    session.screen.show_on_stderr(*preview_view(found))
    return found.count


def _confirm(session: Session, count: int, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        message = "cannot ask for confirmation without a terminal; --yes starts the batch"
        raise UsageError(message)
    session.screen.notify(f"retry cancel adjust for these {count}? [y/N]")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        message = "no batch was started"
        raise CliError(message)


def _start(session: Session, content: bytes) -> ApiResponse:
    """Send the request once. Without an answer the batch may exist, and a repeat could start a second one."""
    try:
        return session.api.post(BATCHES, content)
    except NoAnswerError as error:
        if not error.never_sent:
            session.screen.notify("the batch may have been started; check with: settlement batch-retry list")
        raise


def _follow_to_end(session: Session, batch_id: str) -> None:
    answer = follow_batch(session, batch_id)
    batch = answer.read(Batch)
    session.screen.show_response(answer, lambda: batch_view(batch))
    raise typer.Exit(exit_code_of(batch))
