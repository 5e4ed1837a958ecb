"""The end of a process on SIGTERM or SIGINT: in order if it can, by force when its time is over.

A server that is frozen answers no goodbye, and a library may wait for it for minutes. An orchestrator kills the process
then without a word in the log. A process that ends by force leaves what a lost one leaves: calls in flight are unknown
and are compensated.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence

import structlog

log = structlog.get_logger()

FORCED = 1
"""Exit code of an end by force after the limit."""


class Ending:
    """Sees to it that the process ends within `limit_s` seconds of the first signal, and at once on a second one.

    `left` names what has not ended yet, for the log.
    """

    def __init__(self, limit_s: float, left: Callable[[], Sequence[str]]) -> None:
        self._limit_s = limit_s
        self._left = left
        self._begun = False

    def signalled(self, number: int) -> None:
        """Start the time on the first signal; end the process at once on any further one."""
        if self._begun:
            self._force(f"second signal, {signal.Signals(number).name}", 128 + number)
        self._begun = True
        # A thread: whatever keeps the event loop from going on does not keep this from happening.
        timer = threading.Timer(self._limit_s, self._force, (f"not ended within {self._limit_s:g} s", FORCED))
        timer.daemon = True
        timer.start()

    def _force(self, why: str, code: int) -> None:
        log.error("ended by force", reason=why, left=list(self._left()))
        os._exit(code)
