"""Make the first admin key, for whoever can reach the ledger's database: `python -m api.first_key OWNER`.

Every further key is made over HTTP with this one.
"""

import argparse
import asyncio
import sys

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from api.keys.recognition import Keys
from config.logging import configure_logging
from config.pepper import load_pepper
from config.process import keep_files_private
from config.settings import Settings, load_settings
from ledger import KeyRing, open_engine
from schemas.keys import ApiKeyRequest
from settlement.keys import ACTIVE_KEYS_MAX, Role

MADE_BY = "first-key"
"""Who the ledger says made such a key."""


class FirstKeyRefusedError(Exception):
    """No key was made; the message says why, for a person."""


async def first_key(settings: Settings, owner: str, *, force: bool) -> str:
    """Make an admin key and return it in full; with `force` even where an active one exists.

    Raises FirstKeyRefusedError; repeating it without `force` does so from the second time on.
    """
    try:
        order = ApiKeyRequest(owner=owner, role=Role.ADMIN)
    except ValidationError as error:
        raise FirstKeyRefusedError(f"OWNER: {error.errors()[0]['msg']}") from None
    engine = open_engine(settings.ledger_url)
    keys = Keys(KeyRing(engine), load_pepper(settings))
    try:
        return await _make(keys, order, force=force)
    except (SQLAlchemyError, OSError) as error:
        why = f"{type(error).__name__}; is it up, and has python -m ledger.migrate been run?"
        raise FirstKeyRefusedError(f"the ledger cannot be written: {why}") from None
    finally:
        await engine.dispose()


async def _make(keys: Keys, order: ApiKeyRequest, *, force: bool) -> str:
    admins = [key for key in await keys.listed() if key.role is Role.ADMIN and key.revoked_at is None]
    if admins and not force:
        owners = ", ".join(sorted({key.owner for key in admins}))
        raise FirstKeyRefusedError(
            f"an active admin key exists (of {owners}); make keys with it, or repeat with --force"
        )
    made = await keys.make(order, MADE_BY)
    if made is None:
        raise FirstKeyRefusedError(f"{order.owner} has {ACTIVE_KEYS_MAX} active keys already; take another name")
    return made.api_key


def main() -> int:
    """Print the key, once, on standard output; 1 with the reason on standard error if there is none."""
    parser = argparse.ArgumentParser(prog="api.first_key", description="Make the first admin key.")
    parser.add_argument("owner", metavar="OWNER", help="who uses it; audited under this name")
    parser.add_argument("--force", action="store_true", help="even though an active admin key exists")
    arguments = parser.parse_args()
    keep_files_private()
    settings = load_settings()
    # To standard error: on standard output there is the key and nothing else.
    configure_logging(settings.log_format, settings.log_level)
    try:
        key = asyncio.run(first_key(settings, arguments.owner, force=arguments.force))
    except FirstKeyRefusedError as error:
        print(error, file=sys.stderr)
        return 1
    print(key)
    print("Keep it: it is shown once and stored nowhere.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
