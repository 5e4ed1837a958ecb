"""Ctrl-C in a long run: it ends at once, and leaves nothing behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.support.polling import until

ENDS_WITHIN_S = 30


async def test_an_interrupt_ends_it_and_everything_it_has_started(tmp_path: Path) -> None:
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.simulation", "--seeds", "1000"),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        start_new_session=True,
    )

    async def server_runs() -> bool:
        return bool(_children(run.pid))

    async def nothing_left() -> bool:
        try:
            os.killpg(run.pid, 0)
        except ProcessLookupError:
            return True
        return False

    try:
        await until(server_runs, limit_s=60)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        async with asyncio.timeout(ENDS_WITHIN_S):
            output, _ = await run.communicate()
        assert run.returncode == 130
        assert b"interrupted" in output
        await until(nothing_left)
        assert not _holds_anything(tmp_path)
    finally:
        if run.returncode is None:
            os.killpg(run.pid, signal.SIGKILL)
            await run.wait()


def _children(pid: int) -> list[str]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [child for task in tasks for child in (task / "children").read_text().split()]


def _holds_anything(folder: Path) -> bool:
    return any(folder.iterdir())
