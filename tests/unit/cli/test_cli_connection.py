"""The connection to the API: the key is sent only to the API, and the certificate is verified."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from tests.support.cli import settlement
from tests.unit.cli.conftest import ServeScript
from tests.unit.cli.scripted_api import json_answer

KEY = "k1.a-secret-that-is-never-printed"


@pytest.mark.parametrize("by_file", [True, False], ids=["file", "environment"])
async def test_the_api_key_is_sent_and_never_printed(
    serve_script: ServeScript, tmp_path: Path, *, by_file: bool
) -> None:
    url, script = await serve_script(json_answer("{}"))
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    file.chmod(0o600)
    other = "another.key"
    given_key = ["--api-key-file", str(file)] if by_file else []
    ran = await settlement("exposure", *given_key, url=url, SETTLEMENT_API_KEY=other if by_file else KEY)
    assert script.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in ran.out + ran.err
    assert "warning" not in ran.err


@pytest.mark.parametrize("bad", ["two words", "line\nbreak", "\u00e9", " ", "x" * 600])
async def test_an_invalid_api_key_is_refused_and_not_printed(serve_script: ServeScript, bad: str) -> None:
    url, script = await serve_script(json_answer("{}"))
    ran = await settlement("exposure", url=url, SETTLEMENT_API_KEY=bad)
    assert (ran.code, script.requests) == (2, [])
    assert bad.strip() == "" or bad not in ran.err


async def test_an_empty_key_variable_counts_as_not_set(serve_script: ServeScript) -> None:
    url, script = await serve_script(json_answer("{}"))
    await settlement("exposure", url=url, SETTLEMENT_API_KEY="")
    assert "authorization" not in script.requests[0].headers


async def test_a_key_file_that_other_users_can_read_causes_a_warning(serve_script: ServeScript, tmp_path: Path) -> None:
    url, _ = await serve_script(json_answer("{}"))
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o644)
    assert "other users can read" in (await settlement("exposure", "--api-key-file", str(file), url=url)).err


async def test_an_unencrypted_key_to_another_machine_causes_a_warning() -> None:
    ran = await settlement("exposure", "--timeout", "0.1", url="http://api.invalid", SETTLEMENT_API_KEY=KEY)
    assert ran.code == 3
    assert "warning: the API key is sent to api.invalid unencrypted" in ran.err


async def test_https_requires_a_certificate_of_the_ca_file(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    requests = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        right = await settlement("exposure", "--json", "--ca-file", str(tmp_path / "ca.pem"), url=url)
        for wrong in (["--ca-file", str(tmp_path / "other.pem")], []):
            ran = await settlement("exposure", "--json", *wrong, url=url, SETTLEMENT_API_KEY=KEY)
            assert ran.code == 3
            assert "certificate verify failed" in ran.err
    assert (right.code, right.out, len(requests)) == (0, "{}\n", 1)
