"""Settings, objects that contain them, and error messages about them never show a secret."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from cli.connection import ApiConnection
from config.secret_references import SecretReader
from config.settings import ENV_PREFIX, Settings
from config.watched_systems import system_of_settings
from connector import ExternalSystemConfig
from schemas.keys import NewApiKey
from settlement.keys import Role
from stack.parts import Stack
from tests.support.forks import PROGRAMS
from worker_systems import connector_config

SECRET = "Xk29-correct-horse-battery-staple-71"  # noqa: S105 - a marker
MAY_HOLD_ONE: dict[str, Any] = {
    "database_url": f"postgresql://ledger:{SECRET}@db.example/ledger",
    "external_base_url": f"https://us:{SECRET}@broker.example",
    "temporal_ui_url": f"https://us:{SECRET}@ui.example",
    "api_key_pepper": SECRET,
    "update_signing_key": SECRET,
}
"""Every setting whose value may contain a secret."""
FILES = {"payload_keys"}
"""Paths of files that refer to secrets. A secret in their place is refused, and not shown."""
HARMLESS = set(Settings.model_fields) - set(MAY_HOLD_ONE) - FILES


def test_every_setting_of_free_text_is_listed() -> None:
    """A new setting for a URL, password or key must be added to the list above."""
    suspicious = {
        name
        for name in HARMLESS
        if any(word in name for word in ("url", "key", "password", "token", "secret", "pepper", "dsn"))
    }
    assert suspicious == set()


@pytest.mark.parametrize("name", MAY_HOLD_ONE)
def test_no_setting_shows_a_secret(name: str, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, **{name: MAY_HOLD_ONE[name]})
    entry = system_of_settings(settings).entries["default"]
    config = connector_config(entry, SecretReader(), 10)
    for shown in (repr(settings), str(settings), repr(Stack(settings)), repr(entry), entry.address, repr(config)):
        assert SECRET not in shown


@pytest.mark.parametrize(
    "held",
    [
        ExternalSystemConfig(base_url=MAY_HOLD_ONE["external_base_url"]),
        ApiConnection("https://settlement.example", SECRET, tls=ssl.create_default_context(), timeout_s=1),
        NewApiKey(
            key_id="k",
            client="o",
            role=Role.ADMIN,
            companies="all",
            created_at=datetime.now(UTC),
            created_by="o",
            api_key=f"k.{SECRET}",
        ),
        SecretStr(SECRET),
    ],
    ids=lambda held: type(held).__name__,
)
def test_no_object_shows_a_secret(held: object) -> None:
    assert SECRET not in f"{held!r} {held!s}"


WRONG = [
    f"mysql://ledger:{SECRET}@db.example/ledger",
    f"postgresql://ledger:pass@db.example:{SECRET}/ledger",
    f"{SECRET}",
]


@pytest.mark.parametrize("url", WRONG)
def test_invalid_database_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(database_url=SecretStr(url))
    assert SECRET not in f"{refused.value!s} {refused.value!r}"


@pytest.mark.parametrize("module", ["api", "worker", "ledger.migrate", "api.first_key", "rehearsal"])
@pytest.mark.parametrize("url", WRONG[:2])
async def test_process_prints_the_variable_without_its_value(module: str, url: str, tmp_path: Path) -> None:
    code, error = await run(module, tmp_path, f"{ENV_PREFIX}DATABASE_URL", url)
    assert code == 2, error
    assert error.startswith(f"{ENV_PREFIX}DATABASE_URL: ")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("module", ["ledger.migrate", "api.first_key"])
async def test_unreachable_database_is_reported_in_one_line(module: str, tmp_path: Path) -> None:
    url = f"postgresql://ledger:{SECRET}@127.0.0.1:1/ledger"
    code, error = await run(module, tmp_path, f"{ENV_PREFIX}DATABASE_URL", url)
    assert code == 1, error
    assert "the ledger cannot be " in error
    assert "Traceback" not in error


async def run(module: str, folder: Path, variable: str, value: str) -> tuple[int, str]:
    """Run a process that must exit because of a setting; check that it does not print the secret.

    Return its exit code and its error output.
    """
    owner = ["boss"] if module == "api.first_key" else []
    code, out, error = await PROGRAMS.run(module, owner, {f"{ENV_PREFIX}STATE_DIR": str(folder), variable: value})
    assert SECRET not in out + error
    return code, error
