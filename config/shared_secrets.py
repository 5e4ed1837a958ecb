"""Loads the secrets that the processes of one installation share: the pepper and the key of the operator's Updates.

Each is a setting, or else a file in the state directory, which the first process creates.
"""

import os
import secrets
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from pydantic import SecretStr

from config.settings import ENV_PREFIX, Settings

PEPPER_FILE = "api-key-pepper"
UPDATE_KEY_FILE = "update-signing-key"
LENGTH_MIN = 32


def load_pepper(settings: Settings) -> bytes:
    """Return the pepper, the key of the hashes of API keys. Whoever has the pepper and the ledger can guess keys.

    All processes that check API keys need the same pepper: with another one, every key is unknown.
    """
    return _load(settings, settings.api_key_pepper, "API_KEY_PEPPER", PEPPER_FILE)


def load_update_key(settings: Settings) -> bytes:
    """Return the key with which the API and batch retries sign an operator's Updates, and workers check them.

    API and worker need the same key: with another one, every action of an operator is refused.
    """
    return _load(settings, settings.update_signing_key, "UPDATE_SIGNING_KEY", UPDATE_KEY_FILE)


def _load(settings: Settings, configured: SecretStr | None, variable: str, file_name: str) -> bytes:
    """Return the secret of the settings, or else the one in the state directory, creating it there if it is missing.

    If several processes call this at once, one creates the file and all return its content. If the file cannot be read
    or created, or is too short, exit with 2 and one line.
    """
    if configured is not None:
        return configured.get_secret_value().encode()
    path = settings.state_dir / file_name
    try:
        if not path.exists():
            _create(path)
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        _exit_with_error(variable, path, f"cannot be read or made ({type(error).__name__})")
    if len(secret) < LENGTH_MIN:
        _exit_with_error(variable, path, f"must hold at least {LENGTH_MIN} characters")
    return secret.encode()


def _create(path: Path) -> None:
    """Create the complete file atomically, readable by its owner only (mode 600); an existing file is not changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(LENGTH_MIN) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        Path(unfinished).unlink()


def _exit_with_error(variable: str, path: Path, why: str) -> NoReturn:
    line = f"{ENV_PREFIX}{variable}: not set, and {path} {why}"
    print(line, file=sys.stderr)  # noqa: T201 - before logging is set up
    raise SystemExit(2)
