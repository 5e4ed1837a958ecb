"""The external systems of an installation: the file that lists them, and which one serves which company.

`read_systems` reads the file that `SETTLEMENT_EXTERNAL_SYSTEMS` names (docs/external-systems.md) and validates it as a
whole: either every entry is valid, or none is used. Reading it needs no secret and makes no connection.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from config.configuration_file import InvalidFileError, parse_toml, read_content
from config.system_entry import SystemEntry, broken_rules
from settlement.system_names import SYSTEM_NAME_LENGTH_MAX, is_system_name

SYSTEMS_MAX = 200


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
    """Read and validate the file. Raises InvalidFileError."""
    return parse_systems(path, read_content(path))


def parse_systems(path: Path, content: bytes) -> ExternalSystems:
    """Validate the content of the file as a whole. Raises InvalidFileError, which names the file `path`."""
    entries = parse_toml(path, content, _File).systems
    problems = [*_wrong_names(entries), *_conflicts(entries)]
    if problems:
        raise InvalidFileError(path, problems)
    return ExternalSystems(entries)


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
