"""The way to the API: a key that nobody else sees, and nobody else's certificate."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from tests.support.cli import settlement
from tests.unit.cli.conftest import Script
from tests.unit.cli.scripted_api import json_answer

KEY = "k1.a-secret-that-nobody-may-see"


@pytest.mark.parametrize("by_file", [True, False], ids=["file", "environment"])
async def test_the_key_is_sent_and_never_shown(scripted: Script, tmp_path: Path, *, by_file: bool) -> None:
    url, script = await scripted(json_answer("{}"))
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    file.chmod(0o600)
    other = "another.key"
    given_key = ["--api-key-file", str(file)] if by_file else []
    ran = await settlement("exposure", *given_key, url=url, SETTLEMENT_API_KEY=other if by_file else KEY)
    assert script.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in ran.out + ran.err
    assert "warning" not in ran.err


@pytest.mark.parametrize("bad", ["two words", "line\nbreak", "\u00e9", " ", "x" * 600])
async def test_what_is_no_key_is_refused_and_not_shown(scripted: Script, bad: str) -> None:
    url, script = await scripted(json_answer("{}"))
    ran = await settlement("exposure", url=url, SETTLEMENT_API_KEY=bad)
    assert (ran.code, script.seen) == (2, [])
    assert bad.strip() == "" or bad not in ran.err


async def test_without_a_key_none_is_sent(scripted: Script) -> None:
    url, script = await scripted(json_answer("{}"))
    await settlement("exposure", url=url, SETTLEMENT_API_KEY="")
    assert "authorization" not in script.seen[0].headers


async def test_a_key_that_others_can_read_is_warned_of(scripted: Script, tmp_path: Path) -> None:
    url, _ = await scripted(json_answer("{}"))
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o644)
    assert "can be read by others" in (await settlement("exposure", "--api-key-file", str(file), url=url)).err


async def test_a_key_without_encryption_beyond_this_machine_is_warned_of() -> None:
    ran = await settlement("exposure", "--timeout", "0.1", url="http://api.invalid", SETTLEMENT_API_KEY=KEY)
    assert ran.code == 3
    assert "warning: the API key travels unencrypted to api.invalid" in ran.err


async def test_https_needs_a_certificate_that_the_ca_file_vouches_for(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "stranger.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        right = await settlement("exposure", "--json", "--ca-file", str(tmp_path / "ca.pem"), url=url)
        for wrong in (["--ca-file", str(tmp_path / "stranger.pem")], []):
            ran = await settlement("exposure", "--json", *wrong, url=url, SETTLEMENT_API_KEY=KEY)
            assert ran.code == 3
            assert "certificate verify failed" in ran.err
    assert (right.code, right.out, len(asked)) == (0, "{}\n", 1)
