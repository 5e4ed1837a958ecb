"""A changed file is loaded without a restart; an invalid one is rejected, and the old one stays in use."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from config import watched_file, watched_systems
from config.configuration_file import InvalidFileError
from config.external_systems import ExternalSystems
from config.settings import Settings, load_settings
from config.watched_file import reload_on_sighup
from config.watched_systems import WatchedSystems, load_systems
from tests.support.polling import until

SECRET = "Xk29-correct-horse-battery-staple-71"  # noqa: S105 - a marker
ALPHA = '[systems.alpha]\ndefault = true\nbase_url = "https://alpha.example"\n'
BETA = ALPHA.replace("alpha", "beta")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "systems.toml"
    path.write_text(ALPHA)
    return path


def put(file: Path, text: str | None) -> None:
    """Replace the content of the file, or remove the file."""
    if text is None:
        file.unlink()
    else:
        file.write_text(text)


@asynccontextmanager
async def watching(watched: WatchedSystems) -> AsyncIterator[None]:
    task = asyncio.create_task(watched.watch())
    yield
    task.cancel()
    await asyncio.wait([task])
    asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)


async def beta_is_active(watched: WatchedSystems) -> bool:
    return list(watched.active.entries) == ["beta"]


async def test_changed_file_is_loaded(file: Path) -> None:
    watched = WatchedSystems(Settings(external_systems=file))
    assert list(watched.active.entries) == ["alpha"]
    async with watching(watched):
        put(file, BETA)
        await until(lambda: beta_is_active(watched))
    assert watched.file.is_current


async def test_sighup_loads_the_file_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_file, "CHECK_EVERY_S", 3600)
    watched = WatchedSystems(Settings(external_systems=file))
    reload_on_sighup(watched)
    async with watching(watched):
        await asyncio.sleep(0)
        put(file, BETA)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: beta_is_active(watched))


async def test_invalid_file_is_rejected_until_it_is_valid(file: Path) -> None:
    watched = WatchedSystems(Settings(external_systems=file))
    loaded_at = watched.file.loaded_at
    for broken in (f'{ALPHA}headers = "{SECRET}"', ""):
        put(file, broken)
        await watched.refresh()
        assert list(watched.active.entries) == ["alpha"]
        assert (watched.file.is_current, watched.file.loaded_at) == (False, loaded_at)
        assert SECRET not in str(watched.file.rejected)
    put(file, None)
    await watched.refresh()
    assert "cannot be read" in str(watched.file.rejected)
    put(file, ALPHA)
    await watched.refresh()
    assert watched.file.is_current


async def test_systems_that_cannot_be_activated_are_rejected_and_tried_again(file: Path) -> None:
    broken = True

    def activate(systems: ExternalSystems) -> None:
        if broken and "beta" in systems.entries:
            raise InvalidFileError(file, ["systems.beta.ca_file: cannot be read"])

    watched = WatchedSystems(Settings(external_systems=file), activate)
    put(file, BETA)
    await watched.refresh()
    assert (list(watched.active.entries), watched.file.is_current) == (["alpha"], False)
    broken = False
    await watched.refresh()
    assert (list(watched.active.entries), watched.file.is_current) == (["beta"], True)


async def test_single_variables_are_one_system_that_serves_everything() -> None:
    settings = Settings(external_base_url=f"http://us:{SECRET}@broker.example", external_adjust_path="/a")
    watched = WatchedSystems(settings)
    await watched.refresh()
    assert [watched.active.serving(company) for company in (None, 7)] == ["default", "default"]
    entry = watched.active.entries["default"]
    assert (entry.adjust_path, entry.address) == ("/a", "http://broker.example")
    assert SECRET in entry.base_url
    assert SECRET not in repr(entry)


def test_process_does_not_start_with_an_invalid_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[systems.alpha]")
    with pytest.raises(SystemExit) as ended:
        load_systems(Settings(external_systems=file))
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"SETTLEMENT_EXTERNAL_SYSTEMS: {file}: systems.alpha.base_url: Field required\n"


@pytest.mark.parametrize(
    ("variable", "value"), [("BASE_URL", "https://x.example"), ("TRACE", "ignore"), ("CA_FILE", "/ca.pem")]
)
def test_file_and_single_variables_exclude_each_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path, variable: str, value: str
) -> None:
    monkeypatch.setenv("SETTLEMENT_EXTERNAL_SYSTEMS", str(file))
    monkeypatch.setenv(f"SETTLEMENT_EXTERNAL_{variable}", value)
    with pytest.raises(SystemExit):
        load_settings()
    names = sorted(["SETTLEMENT_EXTERNAL_SYSTEMS", f"SETTLEMENT_EXTERNAL_{variable}"])
    assert capsys.readouterr().err == f"{names[0]} and {names[1]} must not be set together\n"


def test_every_single_variable_is_in_the_entry_of_the_shorthand() -> None:
    """A new SETTLEMENT_EXTERNAL_… variable must reach the connector."""
    values: dict[str, Any] = {name: object() for name in Settings.model_fields}
    entry = watched_systems.system_of_settings(Settings.model_construct(**values)).entries["default"]
    taken = {id(value) for value in entry.__dict__.values()}
    external = {name for name in values if name.startswith("external_")} - {"external_systems"}
    assert {name for name in external if id(values[name]) not in taken} == set()


async def test_defect_does_not_end_the_watch(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_file, "CHECK_EVERY_S", 0.01)
    looks = 0

    def fail_once() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError

    watched = WatchedSystems(Settings(external_systems=file))
    task = asyncio.create_task(watched.watch(fail_once))

    async def has_looked_again() -> bool:
        return looks > 1

    await until(has_looked_again)
    task.cancel()
    await asyncio.wait([task])
