"""The external systems of an installation: the file that lists them, and which one serves which company.

`read_systems` reads the file that `SETTLEMENT_EXTERNAL_SYSTEMS` names (docs/external-systems.md) and validates it as a
whole: either every entry is valid, or none is used. Reading it needs no secret and makes no connection.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.system_entry import SystemEntry, broken_rules
from settlement.system_names import SYSTEM_NAME_LENGTH_MAX, is_system_name

SYSTEMS_MAX = 200
FILE_BYTES_MAX = 1_000_000
PROBLEMS_MAX = 20
"""Broken rules named in one error."""


class InvalidSystemsFileError(ValueError):
    """The file cannot be used. The text names the file, and each entry and field with its rule, but no value."""

    def __init__(self, path: Path | None, problems: Sequence[str]) -> None:
        self.problems = tuple(problems[:PROBLEMS_MAX])
        more = len(problems) - len(self.problems)
        where = f"{path}: " if path is not None else ""
        super().__init__(f"{where}{'; '.join(self.problems)}" + (f"; and {more} more" if more else ""))


class ExternalSystems:
    """The external systems by name, and the system of each company. It never changes; a new file makes a new one."""

    def __init__(self, entries: Mapping[str, SystemEntry]) -> None:
        self.entries = dict(entries)
        self._by_company = {company: name for name, entry in entries.items() for company in entry.companies or ()}
        self._default = next((name for name, entry in entries.items() if entry.default), None)

    def serving(self, company_id: int | None) -> str | None:
        """Return the name of the system that serves a company, or orders without one; None if no system does."""
        if company_id is None:
            return self._default
        return self._by_company.get(company_id, self._default)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    systems: dict[str, SystemEntry] = Field(min_length=1, max_length=SYSTEMS_MAX)


def read_systems(path: Path) -> ExternalSystems:
    """Read and validate the file. Raises InvalidSystemsFileError."""
    return parse_systems(path, read_content(path))


def read_content(path: Path) -> bytes:
    """Return the content of the file. Raises InvalidSystemsFileError if it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidSystemsFileError(path, [f"cannot be read ({error.strerror or type(error).__name__})"]) from None
    if len(content) > FILE_BYTES_MAX:
        raise InvalidSystemsFileError(path, [f"has more than {FILE_BYTES_MAX} bytes"])
    return content


def parse_systems(path: Path, content: bytes) -> ExternalSystems:
    """Validate the content of the file as a whole. Raises InvalidSystemsFileError, which names the file `path`."""
    try:
        table = tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise InvalidSystemsFileError(path, ["is not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidSystemsFileError(path, [f"is not TOML: {error}"]) from None
    try:
        # As JSON, because strict validation of Python objects refuses the lists, paths and enums of a file.
        entries = _File.model_validate_json(json.dumps(table, default=str), strict=True).systems
    except ValidationError as error:
        raise InvalidSystemsFileError(path, [_problem(each["loc"], each["msg"]) for each in error.errors()]) from None
    problems = [*_wrong_names(entries), *_conflicts(entries)]
    if problems:
        raise InvalidSystemsFileError(path, problems)
    return ExternalSystems(entries)


def _problem(loc: tuple[int | str, ...], message: str) -> str:
    field = ".".join(str(part) for part in loc if part != "[key]")
    return f"{field}: {message.removeprefix('Value error, ')}"


def _wrong_names(entries: Mapping[str, SystemEntry]) -> Iterator[str]:
    for name in entries:
        if not is_system_name(name):
            rule = f"a name must be 1 to {SYSTEM_NAME_LENGTH_MAX} lower-case letters, digits and hyphens"
            yield f"systems.{name[:64]!r}: {rule}"


def _conflicts(entries: Mapping[str, SystemEntry]) -> Iterator[str]:
    """Yield each rule that an entry breaks, alone or together with another one."""
    served_by: dict[int, str] = {}
    default: str | None = None
    for name, entry in entries.items():
        field = f"systems.{name}"
        yield from (f"{field}.{each}" for each in broken_rules(entry))
        for company in entry.companies or ():
            if company in served_by:
                yield f"{field}.companies: {company} is already in systems.{served_by[company]}"
            served_by.setdefault(company, name)
        if entry.default and default is not None:
            yield f"{field}.default: systems.{default} is already the default"
        default = name if entry.default and default is None else default
