"""Standard streams that are closed, full or no longer read: no internal error, and a correct exit code."""

import asyncio
import json
import os

import pytest

from tests.support.cli import PROGRAM, ROOT, Ran, environment
from tests.unit.cli.api_answers import EXPOSURE
from tests.unit.cli.conftest import FakeServer, ServeScript
from tests.unit.cli.scripted_api import json_answer, stream

GOOD = EXPOSURE.model_dump_json()
WHY = ["--reason", "OTHER", "--note", "n"]
LONG = f'{{"items":[{",".join([json.dumps({"x": "y" * 1000})] * 2000)}],"nextCursor":null}}'
EVENT = (
    'data: {"system":"default","requestUniqueNo":"ORD-1","state":"CANCELLING","decision":"VOID",'
    '"at":"2026-01-05T03:10:00Z","reason":"' + "x" * 500 + '"}\n\n'
)


async def through_bash(line: str, url: str) -> Ran:
    """Run one line of bash, in which `$S` is the program; return the exit code and the output of the line."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        line,
        env=environment(url, S=" ".join(PROGRAM)),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("command", ["exposure", "exposure --json", "events ORD-ENDED", "--help", "version"])
async def test_a_closed_reader_ends_the_command_with_141_and_no_message(api: FakeServer, command: str) -> None:
    """The exit code is that of SIGPIPE, as after `| head -1`, and stderr is empty."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *command.split(),
        env=environment(api.url),
        cwd=ROOT,
        stdout=write_end,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(write_end)
    _, err = await process.communicate()
    assert (process.returncode, err) == (141, b"")


async def test_head_gets_its_line_and_the_command_ends_without_a_message(serve_script: ServeScript) -> None:
    url, _ = await serve_script(json_answer(LONG))
    ran = await through_bash('$S list --json | head -1; exit "${PIPESTATUS[0]}"', url)
    assert (ran.code, len(ran.out.splitlines()), ran.err) == (141, 1, "")


async def test_an_event_stream_ends_when_its_reader_ends(serve_script: ServeScript) -> None:
    url, _ = await serve_script(stream(*(f"id: {each}\n{EVENT}" for each in range(2000)), hangs=True))
    ran = await through_bash('$S events ORD-1 | head -1 >/dev/null; exit "${PIPESTATUS[0]}"', url)
    assert (ran.code, ran.err) == (141, "")


@pytest.mark.parametrize("command", ["exposure", "--help"])
async def test_a_stdout_closed_at_the_start_discards_the_output(serve_script: ServeScript, command: str) -> None:
    url, _ = await serve_script(json_answer(GOOD))
    ran = await through_bash(f"$S {command} >&-", url)
    assert (ran.code, ran.out, ran.err) == (0, "", "")


async def test_the_exit_code_is_correct_with_every_stream_closed(api: FakeServer) -> None:
    """No connection gets the number of a closed stream."""
    codes = [
        (await through_bash(f"$S {command} <&- >&- 2>&-", api.url)).code
        for command in ("exposure", "reconcile", "list --limit 0")
    ]
    assert codes == [0, 4, 2]


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full", "2> >(exec true)"], ids=["closed", "full", "unread"])
async def test_a_stderr_that_cannot_be_written_does_not_change_the_result(api: FakeServer, redirect: str) -> None:
    ran = await through_bash(f"$S reconcile --json {redirect}", api.url)
    assert (ran.code, ran.json()["openFindings"]) == (4, 1)
    refused = await through_bash(f"$S list --limit 0 {redirect}", api.url)
    assert (refused.code, refused.out) == (2, "")


@pytest.mark.parametrize("command", ["exposure", "--help"])
async def test_a_full_disk_is_reported_with_74(serve_script: ServeScript, command: str) -> None:
    url, _ = await serve_script(json_answer(GOOD))
    ran = await through_bash(f"$S {command} >/dev/full", url)
    assert (ran.code, ran.err) == (74, "error: the output cannot be written: No space left on device\n")


async def test_a_missing_confirmation_is_reported_with_stdin_closed(api: FakeServer) -> None:
    ran = await through_bash(f"$S batch-retry start --company 7 {' '.join(WHY)} <&-", api.url)
    assert ran.code == 2
    assert "--yes" in ran.err
