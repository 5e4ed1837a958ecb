"""`settlement systems check` checks the file on this machine, sends no order, and shows no secret."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from cli.exits import Exit
from config.check_systems import Check, check_systems
from tests.support.cli import settlement
from tests.unit.connector.raw_broker import broker, reply, sending

SECRET = "Xk29-correct-horse-battery-staple-71"  # noqa: S105 - a marker


def write(folder: Path, url: str, *lines: str) -> Path:
    """Write a file with one system at this address."""
    file = folder / "systems.toml"
    file.write_text("\n".join(["[systems.alpha]", "default = true", f'base_url = "{url}"', *lines]))
    return file


async def checked(file: Path) -> dict[str, Check]:
    """Return the results by what was checked."""
    return {each.what: each for each in await asyncio.to_thread(lambda: list(check_systems(file)))}


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


def server(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """Return the TLS context of a broker with a certificate for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_everything_that_works_is_ok_and_nothing_is_sent(authority: trustme.CA, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    async with broker(sending(reply()), tls=server(authority, "127.0.0.1")) as there:
        file = write(
            tmp_path,
            there.url,
            f'ca_file = "{tmp_path}/ca.pem"',
            f'headers.Authorization = {{ file = "{tmp_path}/token" }}',
        )
        found = await checked(file)
        assert there.requests == []
    assert {what: each.ok for what, each in found.items()} == {
        "file": True,
        "dns": True,
        "tls": True,
        "header Authorization": True,
    }
    assert found["dns"].detail == "127.0.0.1 is 127.0.0.1"
    assert found["tls"].detail.startswith("TLSv1.3, certificate verified, valid until ")
    assert SECRET not in str(found)


async def test_certificate_of_another_name_fails(authority: trustme.CA, tmp_path: Path) -> None:
    async with broker(sending(reply()), tls=server(authority, "broker.example")) as there:
        found = await checked(write(tmp_path, there.url, f'ca_file = "{tmp_path}/ca.pem"'))
    assert found["tls"].ok is False
    assert "IP address mismatch" in found["tls"].detail


async def test_unknown_authority_fails(authority: trustme.CA, tmp_path: Path) -> None:
    async with broker(sending(reply()), tls=server(authority, "127.0.0.1")) as there:
        found = await checked(write(tmp_path, there.url))
    assert found["tls"].ok is False
    assert "unable to get local issuer certificate" in found["tls"].detail


async def test_each_failure_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALPHA_KEY", raising=False)
    file = write(tmp_path, "http://127.0.0.1:1", 'headers.X-Api-Key = { env = "ALPHA_KEY" }')
    found = await checked(file)
    assert (found["connection"].ok, found["connection"].detail) == (False, "127.0.0.1:1: Connection refused")
    key = found["header X-Api-Key"]
    assert (key.ok, key.detail) == (False, "environment variable ALPHA_KEY is not set")
    unknown = await checked(write(tmp_path, "https://no-such-host.invalid"))
    assert unknown["dns"].ok is False
    assert unknown["dns"].detail.startswith("no-such-host.invalid cannot be resolved (")
    missing = await checked(write(tmp_path, "https://127.0.0.1:1", f'ca_file = "{tmp_path}/none.pem"'))
    assert missing["tls"].detail == "a TLS file cannot be read or used (No such file or directory)"


async def test_command_prints_each_result_and_ends_with_code_4(tmp_path: Path) -> None:
    file = write(tmp_path, "http://127.0.0.1:1")
    ran = await settlement("systems", "check", str(file))
    assert ran.code == Exit.BAD_RESULT
    assert ran.out.splitlines() == [
        "result\tsystem\tcheck\tdetail",
        "ok\t\tfile\texternal systems: alpha",
        "ok\talpha\tdns\t127.0.0.1 is 127.0.0.1",
        "failed\talpha\tconnection\t127.0.0.1:1: Connection refused",
    ]


async def test_command_names_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, f"https://us:{SECRET}@alpha.example", f'headers.Cookie = "{SECRET}"', "attempts = 3")
    ran = await settlement("systems", "check", str(file))
    assert ran.code == Exit.BAD_RESULT
    assert "systems.alpha.base_url: must not contain a user or password; use headers" in ran.out
    assert "systems.alpha.attempts: Extra inputs are not permitted" in ran.out
    assert SECRET not in ran.out + ran.err


async def test_without_a_file_the_command_says_how_to_name_one() -> None:
    ran = await settlement("systems", "check")
    assert (ran.code, ran.err) == (Exit.USAGE, "error: name a file, or set SETTLEMENT_EXTERNAL_SYSTEMS\n")
