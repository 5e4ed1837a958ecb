"""The progress of an import of a statement, on stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cli.screen import console
from cli.session import Session
from settlement.broker_statement import BrokerStatement, StatementState

BAR_WIDTH = 30
CHECKING, SENDING = "checking the file", "sending the lines"
_COMPARING = {
    StatementState.COMPARING_STATEMENT: "comparing the statement with the ledger",
    StatementState.COMPARING_LEDGER: "comparing the ledger with the statement",
    StatementState.DELETING: "deleting the lines",
    StatementState.REPORTING: "reporting the differences",
}


class ProgressDisplay(Protocol):
    """Shows how much of a step is done."""

    def show(self, step: str, done: float, total: float) -> None:
        """Show the progress of a step. A step that was not shown before begins."""


def show_comparison(display: ProgressDisplay, statement: BrokerStatement) -> None:
    """Show how far a comparison is."""
    step = _COMPARING.get(statement.state)
    if step is None:
        return
    done, total = 0.0, 1.0
    if statement.state is StatementState.COMPARING_STATEMENT:
        done, total = statement.lines_compared, statement.line_count
    elif statement.state is StatementState.COMPARING_LEDGER:
        compared_to = statement.ledger_compared_to or statement.starts_at
        done = (compared_to - statement.starts_at).total_seconds()
        total = (statement.ends_at - statement.starts_at).total_seconds()
    elif statement.state is StatementState.REPORTING:
        done = statement.findings_new + statement.findings_open + statement.findings_closed
        total = statement.differences
    display.show(step, done, total)


class _Bars:
    """One bar for each step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, step: str, done: float, total: float) -> None:
        if step not in self._tasks:
            self._end_steps()
            self._tasks[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)

    def _end_steps(self) -> None:
        for task in self._progress.tasks:
            self._progress.update(task.id, completed=task.total)


class _Lines:
    """One line for each fourth of a step, if there is no terminal."""

    def __init__(self, session: Session) -> None:
        self._notify = session.screen.notify
        self._last_shown = ("", -1)

    def show(self, step: str, done: float, total: float) -> None:
        fourth = int(done * 4 / total) if total else 4
        if (step, fourth) != self._last_shown:
            self._last_shown = (step, fourth)
            self._notify(f"{step}: {fourth * 25} %" if fourth else step)


@contextmanager
def progress_display(session: Session) -> Iterator[ProgressDisplay]:
    """Show bars on a terminal, else lines."""
    if not sys.stderr.isatty():
        yield _Lines(session)
        return
    columns = (
        TextColumn("{task.description:<40}", markup=False),
        BarColumn(bar_width=BAR_WIDTH),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stderr=True)) as progress:
        yield _Bars(progress)
