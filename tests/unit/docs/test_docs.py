"""What the documents say of settings, errors and outcomes is what the code does."""

from pathlib import Path

from config.external_systems import read_systems
from config.settings import ENV_PREFIX, Settings
from config.system_entry import RetryEntry, SystemEntry
from schemas.problems import STATUS_OF, ErrorCode
from settlement.calls import Phase, Rule
from settlement.states import State

ROOT = Path(__file__).parents[3]


def rows(page: str, columns: int) -> list[list[str]]:
    """Return the cells of every table row of a page that has at least so many."""
    lines = (ROOT / "docs" / page).read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return [row for row in cells if len(row) >= columns]


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {row[0].strip("`"): row[1].strip("`") for row in rows("settings.md", 4)}
    assert set(documented) == {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields}
    for name, default in Settings.model_construct().model_dump(mode="json").items():
        if default is not None:
            said = documented[f"{ENV_PREFIX}{name}".upper()]
            assert said in {str(default), f"{default:g}" if isinstance(default, float) else None}


def test_every_error_code_is_documented_with_its_status() -> None:
    documented = {row[0].strip("`"): int(row[1]) for row in rows("errors.md", 4)}
    assert documented == {code.value: STATUS_OF[code].value for code in ErrorCode}


def test_every_rule_and_every_phase_is_documented() -> None:
    assert {row[0].strip("`") for row in rows("outcomes.md", 4)} == {*Rule, *Phase}


def test_the_glossary_names_every_state() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    assert all(state in glossary for state in State)


def test_the_complete_file_of_external_systems_is_valid_and_has_every_field(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "external-systems.md").read_text()
    example = text.split("```text\n")[1].split("```")[0]
    file = tmp_path / "systems.toml"
    file.write_text(example)
    systems = read_systems(file)
    assert [systems.serving(company) for company in (7, 9, 10, None)] == ["alpha", "beta", "other", "other"]
    used = {field for entry in systems.entries.values() for field in entry.model_fields_set}
    assert used == set(SystemEntry.model_fields)
    assert systems.entries["alpha"].retry.model_fields_set == set(RetryEntry.model_fields)


def test_every_field_of_an_external_system_is_documented() -> None:
    documented = {name.strip("` ") for row in rows("external-systems.md", 3) for name in row[0].split(",")}
    assert set(SystemEntry.model_fields) <= documented
