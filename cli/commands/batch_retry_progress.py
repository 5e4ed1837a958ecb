"""Watch a batch until nothing more happens by itself. Watching does nothing: the batch runs at the API's side."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.api import ApiResponse
from cli.commands.batch_retry_views import at_rest, tried
from cli.retry_policy import POLL_EVERY_S, RetryPolicy
from cli.screen import console
from cli.session import Session
from cli.text import counts
from settlement.batch_retry import Batch, BatchState
from settlement.states import State

BAR_WIDTH = 20
BARS_NEED = 120
"""Columns of a terminal in which bars, counts and all states fit; in a narrower one lines are printed instead."""
LOOKS = 2
"""The ledger follows a little behind: a retried settlement may still look aborted. At rest is what is so twice."""


def watch(session: Session, batch_id: str) -> ApiResponse:
    """Show progress on stderr until the batch and the compensations it began are at rest; return the last answer.

    On Ctrl-C it says that the batch goes on.
    """
    retry_policy = RetryPolicy(session.screen.say)
    path = f"/v1/batch-retries/{batch_id}"
    at_rest_for = 0
    try:
        with _meter(session) as meter:
            while True:
                answer = retry_policy.call(lambda: session.api.get(path))
                batch = answer.read(Batch)
                meter.show(batch)
                at_rest_for = at_rest_for + 1 if at_rest(batch) else 0
                if at_rest_for == LOOKS:
                    return answer
                time.sleep(POLL_EVERY_S)
    except KeyboardInterrupt:
        session.screen.say(f"the batch goes on; settlement batch-retry stop {batch_id} stops it")
        raise


class _Meter:
    """Bars at a terminal: settlements retried, and of those how many compensations have ended."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tried = progress.add_task("retried", total=None, states="")
        self._ended = progress.add_task("ended", total=None, states="")

    def show(self, batch: Batch) -> None:
        done = tried(batch)
        under_way = batch.states.get(State.CANCELLING, 0)
        self._progress.update(self._tried, total=batch.count, completed=done, states=counts(batch.outcomes.items()))
        self._progress.update(
            self._ended, total=batch.count, completed=max(0, done - under_way), states=counts(batch.states.items())
        )


class _Teller:
    """Without a terminal, or in a narrow one: one line for each tenth."""

    def __init__(self, session: Session) -> None:
        self._say = session.screen.say
        self._told = ""

    def show(self, batch: Batch) -> None:
        tenth = tried(batch) * 10 // max(1, batch.count)
        key = f"{tenth} {batch.state} {at_rest(batch)}"
        if key != self._told:
            self._told = key
            after = counts(batch.states.items())
            how = "" if batch.state is BatchState.RUNNING else f", {batch.state}"
            self._say(f"batch {batch.batch_id}: {tried(batch)} of {batch.count} retried{how}; {after}")


@contextmanager
def _meter(session: Session) -> Iterator[_Meter | _Teller]:
    screen = console(stderr=True)
    if not sys.stderr.isatty() or screen.width < BARS_NEED:
        yield _Teller(session)
        return
    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(bar_width=BAR_WIDTH),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[states]}", markup=False),
    )
    with Progress(*columns, console=screen) as progress:
        yield _Meter(progress)
