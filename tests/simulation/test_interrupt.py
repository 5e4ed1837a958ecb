"""Ctrl-C in a long run: it ends at once, prints its results so far, and leaves no processes or files."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

from tests.simulation.seeds import ORDERS
from tests.support.polling import until
from tests.support.processes import children

AT_ONCE = 2
ENDS_WITHIN_S = 30
FIRST_SEEDS_WITHIN_S = 240
SUM = re.compile(rb"(\d+) seeds, (\d+) settlements .*: 0 violations")


async def test_an_interrupt_ends_the_run_and_all_its_processes(tmp_path: Path) -> None:
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.simulation", "--seeds", "1000", "--at-once", str(AT_ONCE)),
        stdout=asyncio.subprocess.PIPE,
        # Forces the progress bar, which shows when the first seeds are done.
        env=os.environ | {"TMPDIR": str(tmp_path), "TTY_COMPATIBLE": "1", "COLUMNS": "200"},
        start_new_session=True,
    )

    async def nothing_left() -> bool:
        try:
            os.killpg(run.pid, 0)
        except ProcessLookupError:
            return True
        return False

    try:
        async with asyncio.timeout(FIRST_SEEDS_WITHIN_S):
            await _wait_for_output(run, f" {AT_ONCE}/1000".encode())
        assert children(run.pid)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        async with asyncio.timeout(ENDS_WITHIN_S):
            output, _ = await run.communicate()
        assert run.returncode == 130
        summed_up = SUM.search(output)
        assert b"interrupted" in output
        assert summed_up is not None, output
        assert int(summed_up[2]) == ORDERS * int(summed_up[1]) >= ORDERS * AT_ONCE
        await until(nothing_left)
        assert not _has_files(tmp_path)
    finally:
        if run.returncode is None:
            os.killpg(run.pid, signal.SIGKILL)
            await run.wait()


async def _wait_for_output(run: asyncio.subprocess.Process, words: bytes) -> None:
    assert run.stdout is not None
    said = b""
    while words not in said:
        more = await run.stdout.read(4096)
        assert more, said
        said = said[-len(words) :] + more


def _has_files(folder: Path) -> bool:
    return any(folder.iterdir())
