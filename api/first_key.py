"""Create the first admin key: `python -m api.first_key CLIENT`. It needs access to the ledger's database.

Its scope is `all`. Further keys are created over HTTP, with this key.
"""

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from api.keys.verification import Keys
from config.logging import configure_logging
from config.process import keep_files_private
from config.settings import Settings, load_settings
from config.shared_secrets import load_pepper
from ledger import KeyRing, open_engine
from schemas.keys import ApiKeyRequest
from settlement.keys import ACTIVE_KEYS_MAX, Role

CREATED_BY = "first-key"
"""`createdBy` of such a key."""


class FirstKeyRefusedError(Exception):
    """No key was created. The message tells the operator why."""


async def first_key(settings: Settings, client: str, *, force: bool) -> str:
    """Create an admin key and return its full text. With `force`, do so even if an active admin key exists.

    Raises FirstKeyRefusedError: without `force`, also when it is repeated.
    """
    try:
        request = ApiKeyRequest(client=client, role=Role.ADMIN, companies="all")
    except ValidationError as error:
        raise FirstKeyRefusedError(f"CLIENT: {error.errors()[0]['msg']}") from None
    engine = open_engine(settings.ledger_url)
    keys = Keys(KeyRing(engine), load_pepper(settings))
    try:
        return await _create(keys, request, force=force)
    except (SQLAlchemyError, OSError) as error:
        reason = f"{type(error).__name__}; is it up, and has python -m ledger.migrate been run?"
        raise FirstKeyRefusedError(f"the ledger cannot be written: {reason}") from None
    finally:
        await engine.dispose()


async def _create(keys: Keys, request: ApiKeyRequest, *, force: bool) -> str:
    admins = [key for key in await keys.all() if key.role is Role.ADMIN and key.is_active(datetime.now(UTC))]
    if admins and not force:
        clients = ", ".join(sorted({key.client for key in admins}))
        raise FirstKeyRefusedError(
            f"an active admin key exists (client {clients}); create keys with it, or repeat with --force"
        )
    created = await keys.create(request, CREATED_BY)
    if created is None:
        raise FirstKeyRefusedError(f"{request.client} already has {ACTIVE_KEYS_MAX} active keys; use another name")
    return created.api_key


def main() -> int:
    """Print the key on standard output and return 0. If none was created, print the reason and return 1."""
    parser = argparse.ArgumentParser(prog="api.first_key", description="Create the first admin key.")
    parser.add_argument("client", metavar="CLIENT", help="who holds the key; actions are audited under this name")
    parser.add_argument("--force", action="store_true", help="create a key even if an active admin key exists")
    arguments = parser.parse_args()
    keep_files_private()
    settings = load_settings()
    # Logs go to standard error. Standard output holds the key and nothing else.
    configure_logging(settings.log_format, settings.log_level)
    try:
        key = asyncio.run(first_key(settings, arguments.client, force=arguments.force))
    except FirstKeyRefusedError as error:
        print(error, file=sys.stderr)
        return 1
    print(key)
    print("Keep this key: it is shown once, and it is stored nowhere.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
