"""`settlement security-events`: list the security events. It requires a key with the scope `all`."""

from typing import Annotated

import typer

from cli.api import as_model
from cli.pages import SECURITY_EVENTS, Pages
from cli.rendering import Row
from cli.session import session_of
from settlement.security_events import SecurityEvent

_COLUMNS = ("id", "at", "kind", "client", "keyId", "subject", "detail")


def security_events(
    context: typer.Context,
    *,
    before: Annotated[
        int | None, typer.Option(min=0, help="List only events with a smaller id; continues an earlier list.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of events.")] = 50,
    all_: Annotated[bool, typer.Option("--all", help="List all; ignores --limit.")] = False,
) -> None:
    """List security events, newest first: keys, refused keys, paused systems, changed limits, batches."""
    session = session_of(context)
    pages = Pages(session.api, SECURITY_EVENTS, {"before": before}, None if all_ else limit)
    session.screen.show_items(pages, _COLUMNS, lambda item: _row(as_model(item, SecurityEvent)))
    if pages.next_cursor is not None:
        session.screen.notify(f"there are more; use --all, or --before {pages.next_cursor}")


def _row(event: SecurityEvent) -> Row:
    return (event.event_id, event.at, event.kind, event.client, event.key_id, event.subject, event.detail)
