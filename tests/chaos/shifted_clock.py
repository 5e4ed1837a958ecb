"""A wall clock that can be set while a Python process runs on it.

Only the wall clock: durations are measured by the monotonic clock, which no administrator sets.
"""

from pathlib import Path

BENEATH = Path(__file__).parent / "beneath"


class ShiftedClock:
    """The clock of one process, from its next start on; `file` is by which it is set."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.shift(0)

    def beneath(self, env: dict[str, str]) -> None:
        """Have a process that is started with `env` run on this clock."""
        env["CHAOS_CLOCK"] = str(self._file)
        env["PYTHONPATH"] = f"{BENEATH}:{env['PYTHONPATH']}"

    def shift(self, seconds: int) -> None:
        """Set it so far ahead (below 0: back) of the true time, within a moment."""
        # In one move: a reader must never find an empty file.
        beside = self._file.with_suffix(".new")
        beside.write_text(str(seconds))
        beside.replace(self._file)
