"""Reads a configuration file in TOML and validates it as a whole: either every entry is valid, or none is used."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

FILE_BYTES_MAX = 1_000_000
PROBLEMS_MAX = 20
"""Broken rules named in one error."""

Content = TypeVar("Content", bound=BaseModel)


class InvalidFileError(ValueError):
    """The file cannot be used. The text names the file, and each entry and field with its rule, but no value."""

    def __init__(self, path: Path | None, problems: Sequence[str]) -> None:
        self.problems = tuple(problems[:PROBLEMS_MAX])
        more = len(problems) - len(self.problems)
        where = f"{path}: " if path is not None else ""
        super().__init__(f"{where}{'; '.join(self.problems)}" + (f"; and {more} more" if more else ""))


def read_content(path: Path) -> bytes:
    """Return the content of the file. Raises InvalidFileError if it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidFileError(path, [f"cannot be read ({error.strerror or type(error).__name__})"]) from None
    if len(content) > FILE_BYTES_MAX:
        raise InvalidFileError(path, [f"has more than {FILE_BYTES_MAX} bytes"])
    return content


def parse_toml(path: Path, content: bytes, model: type[Content]) -> Content:
    """Validate the content of the file. Raises InvalidFileError, which names the file `path`."""
    try:
        table = tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise InvalidFileError(path, ["is not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidFileError(path, [f"is not TOML: {error}"]) from None
    try:
        # As JSON, because strict validation of Python objects refuses the lists, paths and enums of a file.
        return model.model_validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        raise InvalidFileError(path, [_problem(each["loc"], each["msg"]) for each in error.errors()]) from None


def _problem(loc: tuple[int | str, ...], message: str) -> str:
    field = ".".join(str(part) for part in loc if part != "[key]")
    return f"{field}: {message.removeprefix('Value error, ')}"
