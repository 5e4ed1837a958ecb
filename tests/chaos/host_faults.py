"""Faults of a host: a wall clock that can be shifted, and a disk that can be filled.

Only the wall clock of a process is shifted. Durations are measured with the monotonic clock, which stays correct.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CLOCK_SITE = Path(__file__).parent / "clock_site"
_BALLAST = "ballast"


class ShiftedClock:
    """The wall clock of one process, from its next start on. The process reads the shift from `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.shift(0)

    def install(self, env: dict[str, str]) -> None:
        """Make a process that is started with `env` use this clock."""
        env["CHAOS_CLOCK"] = str(self._file)
        env["PYTHONPATH"] = f"{CLOCK_SITE}:{env['PYTHONPATH']}"

    def shift(self, seconds: int) -> None:
        """Set the clock `seconds` ahead of the true time (below 0: behind). It takes effect within a second."""
        # Replaces the file at once: a reader must never see an empty one.
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)


class SmallDisk:
    """A folder on a separate small disk that can be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / _BALLAST

    def fill(self) -> None:
        """Fill the disk completely: the next write that needs a new block fails with ENOSPC."""
        with self._ballast.open("ab") as ballast:
            while free := os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize:
                with suppress(OSError):  # another process has used some of it meanwhile
                    os.posix_fallocate(ballast.fileno(), ballast.seek(0, os.SEEK_END), free)

    def free(self) -> None:
        """Free the space. Repeating it changes nothing."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[SmallDisk | None]:
    """Mount a tmpfs on an empty folder while the context is open; yield None if not root."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0755", "ledger", str(folder)]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own command
    except FileNotFoundError:
        mounted = False
    if not mounted:
        yield None
        return
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily, because a process that is ending may still have a file open there.
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607 - our own command
