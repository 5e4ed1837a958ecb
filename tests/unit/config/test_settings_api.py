"""Without keys the API serves only this machine; with any other address it does not start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.fields import is_loopback
from config.settings import Settings, load_api_settings
from stack.demo import demo_settings
from stack.parts import with_auth_off_by_default
from tests.support.forks import PROGRAMS

ROOT = Path(__file__).parents[3]
LOOPBACK = ["127.0.0.1", "127.1.2.3", "::1", "localhost"]
REACHABLE = [
    "0.0.0.0",  # noqa: S104 - that is what is refused
    "::",
    "192.0.2.7",
    "2001:db8::1",
    "api.example",
    "127.1",
    "localhost.example",
    "::ffff:192.0.2.7",
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_host_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [*REACHABLE, "", " ", "127.0.0.1 "])
def test_host_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def load(monkeypatch: pytest.MonkeyPatch, auth: str, host: str) -> Settings:
    """Load the API's settings from an environment."""
    monkeypatch.setenv("SETTLEMENT_AUTH", auth)
    monkeypatch.setenv("SETTLEMENT_API_HOST", host)
    return load_api_settings()


@pytest.mark.parametrize(
    ("auth", "host"), [*(("off", host) for host in LOOPBACK), *(("on", host) for host in REACHABLE)]
)
def test_allowed_combinations(monkeypatch: pytest.MonkeyPatch, auth: str, host: str) -> None:
    assert load(monkeypatch, auth, host).auth == auth


@pytest.mark.parametrize("host", REACHABLE)
def test_without_keys_any_other_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        load(monkeypatch, "off", host)
    assert stopped.value.code == 2
    line = "SETTLEMENT_AUTH: must be on where SETTLEMENT_API_HOST is not a loopback address\n"
    assert capsys.readouterr() == ("", line)


def test_four_eyes_amount_requires_keys(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SETTLEMENT_FOUR_EYES_ABOVE", "USD=1000")
    with pytest.raises(SystemExit) as stopped:
        load(monkeypatch, "off", "127.0.0.1")
    assert stopped.value.code == 2
    line = "SETTLEMENT_FOUR_EYES_ABOVE: requires SETTLEMENT_AUTH=on: without keys there is no second client\n"
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("name", ["FOUR_EYES_ABOVE", "BATCH_SUMS_MAX"])
def test_wrong_amounts_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv(f"SETTLEMENT_{name}", "USD=1e3")
    with pytest.raises(SystemExit):
        load(monkeypatch, "on", "127.0.0.1")
    assert capsys.readouterr().err.startswith(f"SETTLEMENT_{name}: Value error, an amount must be a plain decimal")


def test_keys_are_required_by_default() -> None:
    assert Settings.model_fields["auth"].default == "on"


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a module with the given settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SETTLEMENT_")}
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", *arguments],
        env=kept | {f"SETTLEMENT_{name}": value for name, value in env.items()},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_api_process_refuses_to_start(tmp_path: Path) -> None:
    """It does so before it opens, creates or logs anything."""
    done = run("api", AUTH="off", API_HOST="0.0.0.0", STATE_DIR=str(tmp_path / "state"))  # noqa: S104 - refused
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "SETTLEMENT_AUTH: must be on where SETTLEMENT_API_HOST is not a loopback address"
    ]
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("name", "value"), [("AUTH", "no"), ("API_KEY_PEPPER", "hunter2")])
async def test_invalid_setting_is_named_without_its_value(name: str, value: str) -> None:
    code, _, error = await PROGRAMS.run("api", [], {f"SETTLEMENT_{name}": value})
    assert code == 2
    assert error.startswith(f"SETTLEMENT_{name}: ")
    assert "hunter2" not in error


def test_make_up_needs_no_keys_on_loopback_by_default() -> None:
    assert with_auth_off_by_default(Settings()).auth == "off"
    assert with_auth_off_by_default(Settings(auth="on")).auth == "on"
    assert with_auth_off_by_default(Settings(api_host="0.0.0.0")).auth == "on"  # noqa: S104 - the very thing


@pytest.mark.parametrize("auth", ["on", "off"])
def test_environment_overrides_that_default(monkeypatch: pytest.MonkeyPatch, auth: str) -> None:
    monkeypatch.setenv("SETTLEMENT_AUTH", auth)
    assert with_auth_off_by_default(Settings()).auth == auth


def test_demo_listens_on_loopback_only() -> None:
    """It has no keys, so no other machine may reach it."""
    settings = demo_settings(Settings(auth="on", api_host="0.0.0.0"))  # noqa: S104 - the very thing
    assert (settings.auth, settings.api_host) == ("off", "127.0.0.1")
