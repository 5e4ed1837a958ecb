"""The disk that can be filled, and the clock that can be shifted in a real process."""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.chaos.host_faults import ShiftedClock, SmallDisk, small_disk
from tests.support.polling import until

MIB = 1_048_576


def test_a_full_disk_rejects_writes_until_it_is_freed(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, size_mib=4) as disk:
        if os.geteuid() != 0:  # only root may mount; the report then lists the fault as left out
            assert disk is None
            return
        assert isinstance(disk, SmallDisk)
        (folder / "row").write_bytes(b"x" * MIB)
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (folder / "more").write_bytes(b"x" * MIB)
        disk.free()
        (folder / "more").write_bytes(b"x" * MIB)
    assert list(folder.iterdir()) == []


async def test_a_running_process_sees_its_clock_shifted_and_corrected(tmp_path: Path) -> None:
    clock = ShiftedClock(tmp_path / "clock")
    env = os.environ | {"PYTHONPATH": "."}
    clock.install(env)
    ask = "import sys, datetime\nfor _ in sys.stdin: print(datetime.datetime.now(datetime.UTC).isoformat(), flush=True)"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ask), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=env
    )
    assert process.stdin is not None
    assert process.stdout is not None

    async def ahead_s() -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"?\n")
        now = datetime.fromisoformat((await process.stdout.readline()).decode().strip())
        return (now - datetime.now(UTC)).total_seconds()

    async def is_ahead_by(seconds: int) -> bool:
        return abs(await ahead_s() - seconds) < 60

    try:
        for seconds in (0, 3600, -3600, 0):
            clock.shift(seconds)
            await until(lambda: is_ahead_by(seconds))  # noqa: B023 - awaited before it changes
    finally:
        process.kill()
        await process.wait()
