"""What each process does at its start and at its end: private files, and a time limit for the shutdown."""

import os
import signal
import threading
from collections.abc import Callable, Sequence

import structlog

log = structlog.get_logger()

FORCED = 1
"""Exit code of a process that did not end within the limit."""
_GROUP_AND_OTHERS = 0o077


def keep_files_private() -> None:
    """Let only the owner read the files and folders that this process and its children create.

    Databases and logs contain user names, addresses and hashes of keys. Every process calls this first; repeating it
    changes nothing.
    """
    os.umask(_GROUP_AND_OTHERS)


class ShutdownLimit:
    """Ends the process at most `limit_s` seconds after the first signal, and at once on a second signal.

    If Temporal or a database does not respond, a library may wait for it for minutes at shutdown. An orchestrator then
    kills the process without a log line. A process that ends by force has the same effect as a killed one: calls in
    flight are UNKNOWN and are compensated.

    `unfinished` returns the names of what has not ended yet, for the log.
    """

    def __init__(self, limit_s: float, unfinished: Callable[[], Sequence[str]]) -> None:
        self._limit_s = limit_s
        self._unfinished = unfinished
        self._signalled = False

    def on_signal(self, number: int) -> None:
        """Start the limit on the first signal; end the process at once on any further one."""
        if self._signalled:
            self._force(f"second signal, {signal.Signals(number).name}", 128 + number)
        self._signalled = True
        # A thread, because the event loop may be blocked.
        timer = threading.Timer(self._limit_s, self._force, (f"not ended within {self._limit_s:g} s", FORCED))
        timer.daemon = True
        timer.start()

    def _force(self, why: str, code: int) -> None:
        log.error("ended by force", reason=why, left=list(self._unfinished()))
        os._exit(code)
