"""The pepper: key of the hashes under which API keys are stored. Whoever has it and the ledger can test guesses."""

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
    """Return the pepper that the settings hold, else the one in the state directory, made there when missing.

    Of several processes at once one makes it, and all return that one. Every process that looks at API keys
    needs the same: under another one no key is known. If there is none to be had: exit with 2 and one line.
    """
    if settings.api_key_pepper is not None:
        return settings.api_key_pepper.get_secret_value().encode()
    path = settings.state_dir / FILE_NAME
    try:
        if not path.exists():
            _make(path)
        pepper = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        _give_up(path, f"cannot be read or made ({type(error).__name__})")
    if len(pepper) < LENGTH_MIN:
        _give_up(path, f"must hold at least {LENGTH_MIN} characters")
    return pepper.encode()


def _make(path: Path) -> None:
    """Put a whole file there at once, for its owner only (mode 600); one that is there already stays."""
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


def _give_up(path: Path, why: str) -> NoReturn:
    line = f"{ENV_PREFIX}API_KEY_PEPPER: not set, and {path} {why}"
    print(line, file=sys.stderr)  # noqa: T201 - before logging is set up
    raise SystemExit(2)
