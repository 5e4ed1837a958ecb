"""Secrets by reference: the configuration names an environment variable or a file, never the secret itself."""

import os
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from config.sampling import SampledLog

SECRET_LENGTH_MAX = 8192
"""Maximum characters of a secret; HTTP servers commonly refuse longer headers."""

log = SampledLog(structlog.get_logger())


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        message = "must be an absolute path"
        raise ValueError(message)
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
EnvName = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]


class SecretReference(BaseModel):
    """Where a secret is: exactly one of `env` (the name of a variable) and `file` (an absolute path)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    env: EnvName | None = None
    file: AbsolutePath | None = None

    def __str__(self) -> str:
        """Name the place, which is not secret: `environment variable NAME` or `file /path`."""
        return f"file {self.file}" if self.file is not None else f"environment variable {self.env}"


class SecretUnavailableError(Exception):
    """A secret cannot be read now. The text names its place and the reason, and never a part of its value."""


def read_secret(reference: SecretReference, *, may_have_lines: bool = False) -> str:
    """Read a secret, without white space at its ends. A file is read at each call, so a rotated secret is used at once.

    Raises SecretUnavailableError if the place is missing, empty or unreadable, or if the value is not printable ASCII
    of at most `SECRET_LENGTH_MAX` characters. A key in PEM `may_have_lines`; the value of a header may not.
    """
    value = os.environ.get(reference.env or "", "") if reference.file is None else _content(reference, reference.file)
    value = value.strip()
    if not value:
        raise _unavailable(reference, "is not set" if reference.file is None else "is empty")
    if len(value) > SECRET_LENGTH_MAX:
        raise _unavailable(reference, f"has more than {SECRET_LENGTH_MAX} characters")
    one_line = "".join(value.splitlines()) if may_have_lines else value
    if not (one_line.isascii() and one_line.isprintable()):
        raise _unavailable(reference, "has characters other than printable ASCII")
    return value


def _content(reference: SecretReference, path: Path) -> str:
    try:
        with path.open("rb") as file:
            # One character more than allowed, so that a file that is too long is noticed and not read as a whole.
            return file.read(SECRET_LENGTH_MAX + 100).decode()
    except UnicodeDecodeError:
        raise _unavailable(reference, "has characters other than printable ASCII") from None
    except OSError as error:
        raise _unavailable(reference, f"cannot be read ({error.strerror or type(error).__name__})") from None


def _unavailable(reference: SecretReference, why: str) -> SecretUnavailableError:
    return SecretUnavailableError(f"{reference} {why}")


class SecretReader:
    """Reads secrets for calls. While a file is being replaced, it returns the last value that could be read.

    So a rotation that removes or truncates the file for a moment fails no call. One reader belongs to one process.
    """

    def __init__(self) -> None:
        self._last: dict[SecretReference, str] = {}

    def value(self, reference: SecretReference, *, may_have_lines: bool = False) -> str:
        """Return the current value, or the last one. Raises SecretUnavailableError if none was ever read."""
        try:
            value = read_secret(reference, may_have_lines=may_have_lines)
        except SecretUnavailableError as error:
            if reference not in self._last:
                raise
            log.warning("secret not read; its last value is used", reason=str(error))
            return self._last[reference]
        self._last[reference] = value
        return value
