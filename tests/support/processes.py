"""What Linux says of processes."""

import re
from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that have not ended."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def resident_kb(pid: int) -> int:
    """Return what a process has in memory now, in KiB."""
    return _status(pid, "VmRSS")


def peak_kb(pid: int) -> int:
    """Return the most that a process has had in memory since it began, in KiB."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found, name
    return int(found[1])
