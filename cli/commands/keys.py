"""`settlement keys …`: the API keys. These commands require a key with role `admin`."""

import json
import re
from typing import Annotated

import typer

from cli.api import as_model
from cli.exits import NoAnswerError
from cli.options import KeyId, choice
from cli.rendering import Block, Fields, Row
from cli.screen import OutputFormat
from cli.session import session_of
from schemas.keys import KEY_LIFETIME_MAX_S, KEY_LIFETIME_MIN_S, NewApiKey
from settlement.keys import ApiKey, Role
from settlement.scope import EVERYTHING, Scope

KEYS = "/v1/api-keys"
_COLUMNS = (
    "keyId",
    "client",
    "role",
    "companies",
    "expiresAt",
    "lastUsedAt",
    "createdAt",
    "createdBy",
    "revokedAt",
    "revokedBy",
)
_SECONDS_OF = {"m": 60, "h": 3600, "d": 86_400}

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Create, list and revoke the API keys of clients.")


def _scope(text: str) -> Scope:
    if text == "all":
        return EVERYTHING
    parts = text.split(",")
    if not all(re.fullmatch("-?[0-9]{1,19}", part) for part in parts):
        message = "must be all, or companyIds separated by commas, such as 1,2"
        raise typer.BadParameter(message)
    return Scope(tuple(int(part) for part in parts))


def _lifetime_s(text: str) -> int:
    match = re.fullmatch("([0-9]{1,6})([mhd])", text)
    seconds = int(match[1]) * _SECONDS_OF[match[2]] if match else 0
    if not KEY_LIFETIME_MIN_S <= seconds <= KEY_LIFETIME_MAX_S:
        days = KEY_LIFETIME_MAX_S // _SECONDS_OF["d"]
        message = f"must be minutes, hours or days, such as 30m, 12h or 90d, from 1m to {days}d"
        raise typer.BadParameter(message)
    return seconds


Client = Annotated[
    str, typer.Option(metavar="NAME", help="Who holds the key; orders and actions are recorded under this name.")
]
CompaniesOption = Annotated[
    Scope,
    typer.Option(
        parser=_scope,
        metavar="LIST",
        help="The scope: companyIds separated by commas; or all, which includes orders without a company.",
    ),
]
Lifetime = Annotated[
    int | None,
    typer.Option(parser=_lifetime_s, metavar="TIME", help="When the key expires, such as 90d. Default: never."),
]


@app.command()
def create(
    context: typer.Context,
    *,
    client: Client,
    role: Annotated[Role, choice(Role, "ROLE")],
    companies: CompaniesOption,
    expires_in: Lifetime = None,
) -> None:
    """Create a key. Without --json, stdout contains only the key. It is shown once and is not stored."""
    session = session_of(context)
    try:
        body: dict[str, object] = {"client": client, "role": role, "companies": companies.companies or "all"}
        body |= {} if expires_in is None else {"expiresInS": expires_in}
        answer = session.api.post(KEYS, json.dumps(body).encode())
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
        f"key {new_key.key_id} of {new_key.client}, role {new_key.role}, companies {new_key.scope}; "
        "the line above is shown only once"
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
    return (
        key.key_id,
        key.client,
        key.role,
        key.scope,
        key.expires_at,
        key.last_used_at,
        key.created_at,
        key.created_by,
        key.revoked_at,
        key.revoked_by,
    )


def _view(key: ApiKey) -> list[Block]:
    return [Fields(list(zip(_COLUMNS, _row(key), strict=True)))]
