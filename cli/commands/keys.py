"""`settlement keys …`: who may do what at the API. Needs a key with role `admin`."""

import json
from typing import Annotated

import typer

from cli.api import as_model
from cli.exits import NoAnswerError
from cli.options import KeyId, choice
from cli.rendering import Block, Fields, Row
from cli.screen import Form
from cli.session import session_of
from schemas.keys import NewApiKey
from settlement.keys import ApiKey, Role

KEYS = "/v1/api-keys"
_COLUMNS = ("keyId", "owner", "role", "createdAt", "createdBy", "revokedAt", "revokedBy")

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Make, list and revoke API keys.")


@app.command()
def create(
    context: typer.Context,
    *,
    owner: Annotated[str, typer.Option(metavar="NAME", help="Who uses it; what they do is audited under this name.")],
    role: Annotated[Role, choice(Role, "ROLE")],
) -> None:
    """Make a key. Without --json, stdout is the key and nothing else: it is shown this once and stored nowhere."""
    session = session_of(context)
    try:
        answer = session.api.post(KEYS, json.dumps({"owner": owner, "role": role}).encode())
    except NoAnswerError as error:
        if not error.never_sent:
            session.screen.say("it may have been made all the same: settlement keys list tells; revoke what nobody has")
        raise
    if session.screen.form is Form.JSON:
        session.screen.answer(answer, tuple)
        return
    made = answer.read(NewApiKey)
    session.screen.text(made.api_key)
    session.screen.say(f"key {made.key_id} of {made.owner}, role {made.role}; the line above is shown this once")


@app.command("list")
def list_keys(context: typer.Context) -> None:
    """List all keys, active ones first; never a secret."""
    session = session_of(context)
    answer = session.api.get(KEYS)
    session.screen.items(answer.items(), _COLUMNS, lambda item: _row(as_model(item, ApiKey)))


@app.command()
def revoke(context: typer.Context, key: KeyId) -> None:
    """Revoke a key, for good. Repeating it is harmless."""
    session = session_of(context)
    answer = session.api.post(f"{KEYS}/{key}/revocation", repeatable=True)
    session.screen.answer(answer, lambda: _view(answer.read(ApiKey)))


def _row(key: ApiKey) -> Row:
    return (key.key_id, key.owner, key.role, key.created_at, key.created_by, key.revoked_at, key.revoked_by)


def _view(key: ApiKey) -> list[Block]:
    return [Fields(list(zip(_COLUMNS, _row(key), strict=True)))]
