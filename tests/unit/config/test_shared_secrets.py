"""Shared secrets: from the settings, or else from a file that is created once, atomically, for its owner only."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from config.settings import Settings
from config.shared_secrets import PEPPER_FILE, UPDATE_KEY_FILE, load_pepper, load_update_key

ROOT = Path(__file__).parents[3]
RACERS = 8
RACE = f"""
import os
from config.shared_secrets import load_pepper
from config.settings import Settings

settings = Settings()
waiting, started = os.pipe()
for _ in range({RACERS}):
    if os.fork() == 0:
        os.close(started)
        os.read(waiting, 1)
        os.write(1, load_pepper(settings) + b"\\n")
        os._exit(0)
os.close(started)
for _ in range({RACERS}):
    os.wait()
"""
"""Forks that are all released at one moment, each to load the pepper and print it."""


def settings(state_dir: Path, pepper: str | None = None) -> Settings:
    """Return settings with the test's own state directory."""
    return Settings(state_dir=state_dir, api_key_pepper=SecretStr(pepper) if pepper else None)


def test_setting_overrides_the_file(tmp_path: Path) -> None:
    assert load_pepper(settings(tmp_path, "p" * 32)) == b"p" * 32
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_created_once_for_its_owner_only(tmp_path: Path) -> None:
    made = load_pepper(settings(tmp_path / "state"))
    assert load_pepper(settings(tmp_path / "state")) == made
    (file,) = (tmp_path / "state").iterdir()
    assert file.name == PEPPER_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(made) >= 32
    assert load_pepper(settings(tmp_path / "other")) != made


def test_concurrent_processes_get_the_same_pepper(tmp_path: Path) -> None:
    """A key that one process stored must be known to the others."""
    env = os.environ | {"SETTLEMENT_STATE_DIR": str(tmp_path / "state")}
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", RACE], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    peppers = done.stdout.split()
    assert len(peppers) == RACERS
    assert len(set(peppers)) == 1
    assert [each.name for each in (tmp_path / "state").iterdir()] == [PEPPER_FILE], "no unfinished file stays behind"


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40])
def test_invalid_file_is_named_and_not_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """A new pepper would make all keys unknown that were created with the old one."""
    (tmp_path / PEPPER_FILE).write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        load_pepper(settings(tmp_path))
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("SETTLEMENT_API_KEY_PEPPER: not set, and ")
    assert len(said.splitlines()) == 1
    assert PEPPER_FILE in said
    assert "short" not in said.replace("must hold", "")
    assert (tmp_path / PEPPER_FILE).read_bytes() == content


def test_folder_that_cannot_be_created_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SystemExit) as stopped:
        load_pepper(settings(tmp_path / "file" / "state"))
    assert stopped.value.code == 2
    assert "cannot be read or made" in capsys.readouterr().err


def test_pepper_is_never_shown(tmp_path: Path) -> None:
    held = settings(tmp_path, "hunter2-hunter2-hunter2-hunter2-")
    assert "hunter2" not in repr(held) + str(held) + held.model_dump_json()


def test_key_of_updates_is_another_secret_with_the_same_handling(tmp_path: Path) -> None:
    """Workers get the key of the Updates and never the pepper."""
    made = load_update_key(settings(tmp_path))
    assert load_update_key(settings(tmp_path)) == made != load_pepper(settings(tmp_path))
    assert {each.name for each in tmp_path.iterdir()} == {PEPPER_FILE, UPDATE_KEY_FILE}
    configured = Settings(state_dir=tmp_path, update_signing_key=SecretStr("hunter2-" * 4))
    assert load_update_key(configured) == b"hunter2-" * 4
    assert "hunter2" not in repr(configured) + configured.model_dump_json()
