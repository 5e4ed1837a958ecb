"""The file of payload keys is validated as a whole, names keys by reference, and is followed without a restart."""

from pathlib import Path

import pytest

from config.configuration_file import InvalidFileError
from config.payload_keys import FileKeys, load_payload_keys, parse_payload_keys
from config.settings import Settings, load_settings
from encryption.keys import UnknownKeyError
from tests.support.payload_keys import secret_of, write_keys

FILE = Path("payload-keys.toml")


def test_without_the_setting_there_are_no_keys() -> None:
    assert load_payload_keys(Settings()) is None


async def test_keys_come_from_files_and_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old").write_text(secret_of("old").hex().upper())
    monkeypatch.setenv("NEW_KEY", secret_of("new").hex())
    text = f'active = "2026-11"\n[keys]\n2026-11 = {{ env = "NEW_KEY" }}\n2026-05 = {{ file = "{tmp_path / "old"}" }}\n'
    ring = parse_payload_keys(FILE, text.encode())
    assert (ring.active_id, ring.ids) == ("2026-11", ("2026-05", "2026-11"))
    assert (await ring.named("2026-05")).secret == secret_of("old")
    assert (await ring.named("2026-11")).secret == secret_of("new")


def test_without_an_active_key_keys_only_decrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", secret_of("k").hex())
    assert parse_payload_keys(FILE, b'[keys]\nk = { env = "KEY" }').active_id is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "keys: Field required"),
        ("[keys]", "keys: Dictionary should have at least 1 item"),
        ('active = "b"\n[keys]\na = { env = "KEY" }', "the active key b is not among the keys"),
        ('[keys]\na = { env = "KEY" }\nb = { env = "KEY" }', "two key ids have the same key"),
        ("[keys]\na = {}", "keys.a: needs exactly one of env and file"),
        ('[keys]\na = { env = "KEY", file = "/k" }', "keys.a: needs exactly one of env and file"),
        ('[keys]\na = { env = "ABSENT_KEY" }', "keys.a: environment variable ABSENT_KEY is not set"),
        ('[keys]\na = { file = "/absent/key" }', "keys.a: file /absent/key cannot be read"),
        ('[keys]\na = { file = "key" }', "keys.a.file: must be an absolute path"),
        ('[keys]\na = { env = "SHORT" }', "keys.a: environment variable SHORT must hold 64 hexadecimal digits"),
        ('[keys]\na = { env = "LONG" }', "keys.a: environment variable LONG must hold 64 hexadecimal digits"),
        ('[keys]\na = { env = "NOT_HEX" }', "keys.a: environment variable NOT_HEX must hold 64 hexadecimal digits"),
        ('[keys]\na = "00"', "keys.a: Input should be an object"),
        ('[keys]\nA = { env = "KEY" }', "keys.A: String should match pattern"),
        ('[keys]\na = { env = "KEY" }\nother = 1', "keys.other: Input should be an object"),
        ('other = 1\n[keys]\na = { env = "KEY" }', "other: Extra inputs are not permitted"),
    ],
)
def test_an_invalid_file_is_refused_without_showing_a_key(
    content: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"KEY": secret_of("k").hex(), "SHORT": "ab" * 31, "LONG": "ab" * 33, "NOT_HEX": "zz" * 32}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidFileError) as invalid:
        parse_payload_keys(FILE, content.encode())
    assert problem in str(invalid.value)
    assert not [value for value in given.values() if value in str(invalid.value)]


def test_process_does_not_start_with_an_invalid_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "payload-keys.toml"
    file.write_text('[keys]\na = { env = "ABSENT_KEY" }')
    with pytest.raises(SystemExit) as ended:
        load_payload_keys(Settings(payload_keys=file))
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"SETTLEMENT_PAYLOAD_KEYS: {file}: keys.a: ")


async def test_an_unknown_key_id_reads_the_file_again_at_once(tmp_path: Path) -> None:
    """Another process may have seen the new active key earlier, and its payloads are here before the next look."""
    keys = FileKeys(write_keys(tmp_path, "k1", active="k1"))
    write_keys(tmp_path, "k1", "k2", active="k2")
    assert (await keys.named("k2")).secret == secret_of("k2")
    active = await keys.active()
    assert active is not None
    assert active.key_id == "k2"
    with pytest.raises(UnknownKeyError):
        await keys.named("k3")


async def test_an_invalid_new_file_leaves_the_previous_keys_in_use(tmp_path: Path) -> None:
    path = write_keys(tmp_path, "k1", active="k1")
    keys = FileKeys(path)
    path.write_text("[keys]")
    await keys.watched.refresh()
    assert keys.watched.file.rejected is not None
    assert (await keys.named("k1")).secret == secret_of("k1")


def test_a_key_in_place_of_the_file_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SETTLEMENT_PAYLOAD_KEYS", secret_of("k").hex())
    with pytest.raises(SystemExit):
        load_settings()
    error = capsys.readouterr().err
    assert error.startswith("SETTLEMENT_PAYLOAD_KEYS: ")
    assert "must be the path of a file" in error
    assert secret_of("k").hex() not in error
