"""What the user of the verification sees: faults on stdout, a progress bar and a summary on stderr."""

import json
import sys
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ledger.audit.chains import Fault

_COLUMNS = ("settlement", "table", "position", "fault", "detail")


class Report:
    """What the user sees: each fault as a line on stdout at once, and a progress bar on stderr if it is a terminal."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._faults = 0
        self._counted = {"settlements": 0, "rows": 0}
        console = Console(stderr=True)
        self._progress = Progress(
            *(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counted]}"), TimeElapsedColumn()),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @property
    def found(self) -> bool:
        """Whether there was any fault."""
        return self._faults > 0

    def begin(self, what: str, total: float | None = None) -> TaskID:
        """Begin one part of the work. Without a total, the bar only shows that it goes on."""
        return self._progress.add_task(what, total=total, counted="")

    def advance(self, task: TaskID, completed: float | None = None, *, settlements: int = 0, rows: int = 0) -> None:
        """Count what was read, and move the bar."""
        self._counted["settlements"] += settlements
        self._counted["rows"] += rows
        self._progress.update(task, completed=completed, counted=self._summary())

    def show(self, faults: Sequence[Fault]) -> None:
        """Print faults."""
        for fault in faults:
            if not self._as_json and not self._faults:
                print("\t".join(_COLUMNS))
            self._faults += 1
            print(_as_json(fault) if self._as_json else _as_columns(fault), flush=True)

    def end(self) -> None:
        """Print on stderr how much was verified, and how many faults were found."""
        print(f"verified {self._summary()}: {self._faults or 'no'} faults", file=sys.stderr)

    def _summary(self) -> str:
        return f"{self._counted['settlements']} settlements, {self._counted['rows']} rows"


def _as_columns(fault: Fault) -> str:
    values = (*fault[:2], "" if fault.chain_position is None else str(fault.chain_position), *fault[3:])
    # Ids are texts of the database, which somebody may have changed: no control character reaches a terminal.
    return "\t".join("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in v) for v in values)


def _as_json(fault: Fault) -> str:
    return json.dumps(dict(zip(_COLUMNS, fault, strict=True)))
