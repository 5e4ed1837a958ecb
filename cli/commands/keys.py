"""`settlement keys …`: the API keys. These commands require a key with role `admin`."""

import json
from typing import Annotated

import typer

from cli.api import as_model
from cli.exits import NoAnswerError
from cli.options import KeyId, choice
from cli.rendering import Block, Fields, Row
from cli.screen import OutputFormat
from cli.session import session_of
from schemas.keys import NewApiKey
from settlement.keys import ApiKey, Role

KEYS = "/v1/api-keys"
_COLUMNS = ("keyId", "owner", "role", "createdAt", "createdBy", "revokedAt", "revokedBy")

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Create, list and revoke API keys.")


@app.command()
def create(
    context: typer.Context,
    *,
    owner: Annotated[str, typer.Option(metavar="NAME", help="Who uses the key; actions are audited under this name.")],
    role: Annotated[Role, choice(Role, "ROLE")],
) -> None:
    """Create a key. Without --json, stdout contains only the key. It is shown once and is not stored."""
    session = session_of(context)
    try:
        answer = session.api.post(KEYS, json.dumps({"owner": owner, "role": role}).encode())
    except NoAnswerError as error:
        if not error.never_sent:
            session.screen.notify(
                "the key may have been created; check with: settlement keys list; revoke a key that you do not have"
            )
        raise
    if session.screen.format is OutputFormat.JSON:
        session.screen.show_response(answer, tuple)
        return
    new_key = answer.read(NewApiKey)
    session.screen.line(new_key.api_key)
    session.screen.notify(
        f"key {new_key.key_id} of {new_key.owner}, role {new_key.role}; the line above is shown only once"
    )


@app.command("list")
def list_keys(context: typer.Context) -> None:
    """List all keys without their secrets, active ones first."""
    session = session_of(context)
    answer = session.api.get(KEYS)
    session.screen.show_items(answer.items(), _COLUMNS, lambda item: _row(as_model(item, ApiKey)))


@app.command()
def revoke(context: typer.Context, key: KeyId) -> None:
    """Revoke a key. It cannot be undone. Idempotent."""
    session = session_of(context)
    answer = session.api.post(f"{KEYS}/{key}/revocation", idempotent=True)
    session.screen.show_response(answer, lambda: _view(answer.read(ApiKey)))


def _row(key: ApiKey) -> Row:
    return (key.key_id, key.owner, key.role, key.created_at, key.created_by, key.revoked_at, key.revoked_by)


def _view(key: ApiKey) -> list[Block]:
    return [Fields(list(zip(_COLUMNS, _row(key), strict=True)))]
