"""Which columns a broker's CSV file has: a TOML file says it, or the entry of the external system."""

import tomllib
from pathlib import Path

from pydantic import ValidationError

from cli.api import Api
from cli.commands.systems import EXTERNAL_SYSTEMS
from cli.exits import UsageError
from cli.files import read_file
from cli.rendering import clean
from contract.path_segments import segment_of
from schemas.external_systems import ExternalSystem
from settlement.statement_columns import StatementColumns

COLUMNS_BYTES_MAX = 64 * 1024


def load_columns(file: Path) -> StatementColumns:
    """Return the mapping of a TOML file. Raises UsageError that names field and rule."""
    content = read_file("--columns", file, COLUMNS_BYTES_MAX)
    try:
        return StatementColumns.model_validate(tomllib.loads(content.decode()))
    except ValidationError as error:
        lines = [f"  {_field(each['loc'])}: {each['msg'].removeprefix('Value error, ')}" for each in error.errors()]
        message = "\n".join([f"--columns: {file} is not valid", *map(clean, lines)])
        raise UsageError(message) from error
    except ValueError as error:
        message = f"--columns: {file} is not TOML in UTF-8: {clean(str(error))}"
        raise UsageError(message) from error


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "columns"


def columns_of(api: Api, system: str) -> StatementColumns:
    """Return the mapping in the entry of an external system; the simulator's columns if the entry has none.

    Raises RefusedError if the configuration of the API has no such system.
    """
    found = api.get(f"{EXTERNAL_SYSTEMS}/{segment_of(system)}").read(ExternalSystem)
    return found.statement or StatementColumns()
