"""docs/security.md names every table of the ledger, every header and every secret, and where a report is made."""

import re
from pathlib import Path

from pydantic import SecretStr

import ledger.tables  # noqa: F401 - it registers the tables
from api.http.security_headers import HEADERS
from config.settings import ENV_PREFIX, Settings
from ledger.schema import metadata

ROOT = Path(__file__).parents[3]
SECURITY = (ROOT / "docs/security.md").read_text()


def section(title: str) -> str:
    """Return the text of a section."""
    return SECURITY.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_table_is_described_and_no_other() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", section("What each place contains"), re.MULTILINE)
    described = [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]
    assert sorted(described) == sorted(metadata.tables)


def test_every_header_is_named() -> None:
    assert [name for name in HEADERS if f"`{name}" not in section("Answers of the API")] == []


def test_every_secret_setting_is_in_the_table() -> None:
    secret = {name for name, field in Settings.model_fields.items() if SecretStr in _types(field.annotation)}
    assert "api_key_pepper" in secret
    named = set(re.findall(rf"`({ENV_PREFIX}[A-Z_]+)`", section("Secrets")))
    assert {f"{ENV_PREFIX}{name}".upper() for name in secret - {"database_url"}} == named


def _types(annotation: object) -> set[object]:
    return {annotation, *getattr(annotation, "__args__", ())}


def test_a_report_is_made_in_the_hosting_of_the_repository() -> None:
    """No address of a person that could become wrong."""
    for text in (SECURITY, (ROOT / "SECURITY.md").read_text()):
        assert "*Report a vulnerability*" in text
        assert not re.search(r"[\w.]+@[\w.]+", text)
