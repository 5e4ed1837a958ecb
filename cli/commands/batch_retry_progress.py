"""Follow a batch until it is finished. The batch runs in the service and does not depend on this program."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.api import ApiResponse
from cli.commands.batch_retry_views import is_finished, processed_count
from cli.rendering import counts
from cli.retry_policy import POLL_INTERVAL_S, RetryPolicy
from cli.screen import console
from cli.session import Session
from settlement.batch_retry import Batch, BatchState
from settlement.states import State

BAR_WIDTH = 20
BARS_TERMINAL_WIDTH_MIN = 120
"""Minimum width of a terminal for bars with their counts and states. A narrower one gets lines instead."""
FINISHED_POLLS = 2
"""Number of successive polls that must see the batch finished. One is not enough: the ledger is a little behind, so a
settlement that was just retried may still be ABORTED there."""


def follow_batch(session: Session, batch_id: str) -> ApiResponse:
    """Show the progress on stderr until the batch and its compensations have ended; return the last response.

    On Ctrl-C it says how to stop the batch, which continues.
    """
    retry_policy = RetryPolicy(session.screen.notify)
    path = f"/v1/batch-retries/{batch_id}"
    finished_polls = 0
    try:
        with _progress_display(session) as display:
            while True:
                response = retry_policy.call(lambda: session.api.get(path))
                batch = response.read(Batch)
                display.show(batch)
                finished_polls = finished_polls + 1 if is_finished(batch) else 0
                if finished_polls == FINISHED_POLLS:
                    return response
                time.sleep(POLL_INTERVAL_S)
    except KeyboardInterrupt:
        session.screen.notify(f"the batch goes on; stop it with: settlement batch-retry stop {batch_id}")
        raise


class _ProgressBars:
    """Two bars: settlements that were retried, and settlements whose compensation has ended."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._retried = progress.add_task("retried", total=None, states="")
        self._ended = progress.add_task("ended", total=None, states="")

    def show(self, batch: Batch) -> None:
        processed = processed_count(batch)
        running = batch.states.get(State.CANCELLING, 0)
        self._progress.update(
            self._retried, total=batch.count, completed=processed, states=counts(batch.outcomes.items())
        )
        self._progress.update(
            self._ended, total=batch.count, completed=max(0, processed - running), states=counts(batch.states.items())
        )


class _ProgressLines:
    """One line for each tenth of the batch, if there is no terminal or a narrow one."""

    def __init__(self, session: Session) -> None:
        self._notify = session.screen.notify
        self._last_shown = ""

    def show(self, batch: Batch) -> None:
        processed = processed_count(batch)
        tenth = processed * 10 // max(1, batch.count)
        key = f"{tenth} {batch.state} {is_finished(batch)}"
        if key != self._last_shown:
            self._last_shown = key
            state = "" if batch.state is BatchState.RUNNING else f", {batch.state}"
            states = counts(batch.states.items())
            self._notify(f"batch {batch.batch_id}: {processed} of {batch.count} retried{state}; {states}")


@contextmanager
def _progress_display(session: Session) -> Iterator[_ProgressBars | _ProgressLines]:
    screen = console(stderr=True)
    if not sys.stderr.isatty() or screen.width < BARS_TERMINAL_WIDTH_MIN:
        yield _ProgressLines(session)
        return
    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(bar_width=BAR_WIDTH),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[states]}", markup=False),
    )
    with Progress(*columns, console=screen) as progress:
        yield _ProgressBars(progress)
