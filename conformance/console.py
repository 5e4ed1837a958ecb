"""What a person sees: one line for each requirement on stdout, and the progress on stderr."""

import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from conformance.requirement import Outcome, Requirement, Result
from conformance.verdict import RunReport, Verdict

_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.NOT_CHECKED: "yellow"}
_VERDICT_STYLES = {
    Verdict.CONFORMS: "bold green",
    Verdict.DOES_NOT_CONFORM: "bold red",
    Verdict.NOT_DECIDED: "bold yellow",
}
_WORDS = {Outcome.PASSED: "passed", Outcome.FAILED: "FAILED", Outcome.NOT_CHECKED: "not checked"}
_WIDTH = max(len(word) for word in _WORDS.values())


class _Console(Console):
    """A console that prints text unchanged. It raises BrokenPipeError if the reader of the output has ended."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Leave the exit code to the program."""
        raise BrokenPipeError


class Screen:
    """Prints the results of a run. Text from the endpoint is printed as text, never as markup."""

    def __init__(self, *, total: int, is_quiet: bool) -> None:
        self._out = _Console()
        self._is_quiet = is_quiet
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=_Console(stderr=True),
            transient=True,
            # Without a terminal, a progress bar would only fill a log.
            disable=is_quiet or not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("starting", total=total)
        self._running: list[str] = []

    def __enter__(self) -> Self:
        """Show the progress."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the progress."""
        self._progress.stop()

    def started(self, requirement: Requirement) -> None:
        """Show that a check runs."""
        self._running.append(requirement.id)
        self._update()

    def ended(self, result: Result) -> None:
        """Print the line of a result."""
        if result.requirement.id in self._running:
            self._running.remove(result.requirement.id)
        self._progress.advance(self._task)
        self._update()
        if self._is_quiet and result.outcome is not Outcome.FAILED:
            return
        line = Text(f"{result.requirement.id}  ")
        line.append(_WORDS[result.outcome].ljust(_WIDTH), style=_STYLES[result.outcome])
        line.append(f"  {result.requirement.title}")
        if result.reason:
            line.append(f"\n       {result.reason}")
        self._out.print(line)

    def verdict(self, report: RunReport) -> None:
        """Print the verdict's sentence."""
        self._out.print(Text(report.sentence, style=_VERDICT_STYLES[report.verdict]))

    def _update(self) -> None:
        self._progress.update(self._task, description=" ".join(self._running) or "done")
