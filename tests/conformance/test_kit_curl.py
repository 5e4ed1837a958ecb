"""The curl commands: a shell that runs them sends the requests of the check, and gets the answers it expects."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from conformance.checks import REQUIREMENTS
from conformance.curl import curl
from conformance.target import Header, Target
from tests.support.conformance_program import conformance
from tests.unit.connector.raw_broker import broker, reply, sending

LIMIT_S = 30
BALANCES = (
    "--balance-url",
    "{url}/simulator/accounts?thirdServerCode={{thirdServerCode}}",
    "--balance-pointer",
    "/accounts/0/balance",
)
NOT_WITH_CURL = {"C-048", "C-060", "C-061", "C-062", "C-063"}
"""Checks of time and of connections: their commands end early."""


async def shell(script: str, folder: Path, **variables: str) -> str:
    """Run a script of commands, and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euc",
        script,
        stdout=asyncio.subprocess.PIPE,
        cwd=folder,
        env={"PATH": os.defpath, "LANG": "C.UTF-8", **variables},
    )
    async with asyncio.timeout(LIMIT_S):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


def codes(printed: str) -> list[str]:
    """Return the codes of the replies that curl printed."""
    return re.findall(r'"code": ?"([^"]*)"', printed)


async def test_commands_of_a_repeat_run_as_the_check_does(simulator: str, tmp_path: Path) -> None:
    ran = await conformance("run", "--base-url", simulator, "--curl", "C-012")
    assert ran.code == 0
    assert [line for line in ran.out.splitlines() if line.startswith("#")] == [
        "# an adjust to begin with",
        "# its cancel",
        "# an adjust",
        "# the same adjust again",
        "# its cancel",
    ]
    assert codes(await shell(ran.out, tmp_path)) == ["0"] * 5


async def test_commands_of_the_balance_read_it(simulator: str, tmp_path: Path) -> None:
    balances = [each.format(url=simulator) for each in BALANCES]
    ran = await conformance("run", "--base-url", simulator, "--curl", "C-012", *balances)
    printed = await shell(ran.out, tmp_path)
    assert re.findall(r'"balance": ?"([^"]*)"', printed)[-1] == "0.00"


@pytest.mark.parametrize("check_id", ["C-024", "C-029", "C-032"])
async def test_commands_with_odd_bytes_get_the_answers_of_the_check(
    simulator: str, tmp_path: Path, check_id: str
) -> None:
    """Quotes, bytes that are not UTF-8, empty headers and Unicode pass through the shell unchanged."""
    ran = await conformance("run", "--base-url", simulator, "--curl", check_id)
    came = codes(await shell(ran.out, tmp_path))
    assert len(came) == len(ran.out.splitlines()) / 2
    if check_id == "C-032":
        assert set(came) == {"0"}
    else:
        assert came[:2] == ["0", "0"]
        assert set(came[2:]) == {"US_0000400", "US_0000002"}


async def test_nothing_is_sent() -> None:
    async with broker(sending(reply())) as there:
        ran = await conformance("run", "--base-url", there.url, "--curl", "C-001")
        assert (ran.code, there.connections) == (0, 0)
    assert len(ran.out.splitlines()) == 2 * 50


@pytest.mark.parametrize("check_id", REQUIREMENTS)
async def test_every_check_runs_to_its_end_without_sending(check_id: str) -> None:
    """The imagined external system meets every requirement, so its commands are complete."""
    hooks = (
        *("--refused-metadata", '{"simulate":{"adjust":"reject"}}'),
        *("--slow-metadata", '{"simulate":{"adjust":"late"}}'),
    )
    url = "http://127.0.0.1:9"
    ran = await conformance(
        "run", "--base-url", url, "--curl", check_id, *hooks, *(each.format(url=url) for each in BALANCES)
    )
    assert ran.code == 0
    is_whole = not ran.out.splitlines()[-1].startswith("#")
    assert is_whole or check_id in NOT_WITH_CURL


async def test_secret_is_read_by_the_shell(tmp_path: Path) -> None:
    (tmp_path / "it's a key").write_text("k-2\n")
    headers = (Header("Authorization", "k-1", "$API_KEY"), Header("X-Key", "k-2", "$(cat 'it'\\''s a key')"))
    async with broker(sending(reply())) as there:
        target = Target(there.url, headers=headers)
        request = b"POST /a?b=%20 HTTP/1.1\r\nHost: x\r\nAuthorization: k-1\r\nX-Key: k-2\r\n\r\n@{'\"$HOME"
        command = curl(target, f"{there.url}/a", request)
        assert "k-1" not in command
        assert "k-2" not in command
        await shell(command, tmp_path, API_KEY="k-1")
        (arrived,) = there.requests
    assert arrived.line == "POST /a?b=%20 HTTP/1.1"
    assert (arrived.headers["Authorization"], arrived.headers["X-Key"]) == ("k-1", "k-2")
    assert arrived.body == b"@{'\"$HOME"
