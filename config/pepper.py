"""Loads the pepper, the key of the hashes of API keys. Whoever has the pepper and the ledger can guess keys."""

import os
import secrets
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from config.settings import ENV_PREFIX, Settings

FILE_NAME = "api-key-pepper"
LENGTH_MIN = 32


def load_pepper(settings: Settings) -> bytes:
    """Return the pepper of the settings, or else the one in the state directory, creating it there if it is missing.

    If several processes call this at once, one creates the file and all return its content. All processes that check
    API keys need the same pepper: with another one, every key is unknown. If the file cannot be read or created, or is
    too short, exit with 2 and one line.
    """
    if settings.api_key_pepper is not None:
        return settings.api_key_pepper.get_secret_value().encode()
    path = settings.state_dir / FILE_NAME
    try:
        if not path.exists():
            _create(path)
        pepper = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        _exit_with_error(path, f"cannot be read or made ({type(error).__name__})")
    if len(pepper) < LENGTH_MIN:
        _exit_with_error(path, f"must hold at least {LENGTH_MIN} characters")
    return pepper.encode()


def _create(path: Path) -> None:
    """Create the complete file atomically, readable by its owner only (mode 600); an existing file is not changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{FILE_NAME}-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(LENGTH_MIN) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        Path(unfinished).unlink()


def _exit_with_error(path: Path, why: str) -> NoReturn:
    line = f"{ENV_PREFIX}API_KEY_PEPPER: not set, and {path} {why}"
    print(line, file=sys.stderr)  # noqa: T201 - before logging is set up
    raise SystemExit(2)
