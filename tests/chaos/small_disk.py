"""A disk of its own for the ledger, small enough to be filled: a tmpfs, so that only root can make one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BALLAST = "ballast"


class SmallDisk:
    """A folder that has a disk to itself; `fill` and `free` are what an operator's worst hour is made of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / _BALLAST

    def fill(self) -> None:
        """Leave no byte on it: the next write that needs a new block fails with ENOSPC."""
        with self._ballast.open("ab") as ballast:
            while free := os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize:
                with suppress(OSError):  # somebody else has taken some of it meanwhile
                    os.posix_fallocate(ballast.fileno(), ballast.seek(0, os.SEEK_END), free)

    def free(self) -> None:
        """Give the space back; repeating it changes nothing."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[SmallDisk | None]:
    """Mount one on an empty folder for as long as the context is open; None where we may not mount."""
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
        # Lazily: whoever still has a file open there is just being ended.
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607 - our own command
