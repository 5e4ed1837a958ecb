"""Poll the API through its outages. The work at the API does not depend on this program."""

import time
from collections.abc import Callable
from typing import TypeVar

from cli.api import RETRY_AFTER_MAX_S
from cli.exits import NoAnswerError

POLL_INTERVAL_S = 0.5
OUTAGE_MAX_S = 120.0
"""If the API does not answer for this time, the command ends with an error."""
_PAUSE_MAX_S = 10.0

T = TypeVar("T")


class RetryPolicy:
    """Repeats requests during an outage of at most `OUTAGE_MAX_S`, with pauses that grow up to 10 s."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._outage_started_at: float | None = None
        self._pause_s = POLL_INTERVAL_S

    def end_outage(self) -> None:
        """Record that the API is reachable."""
        self._outage_started_at = None

    def reset(self) -> None:
        """Record that the API is reachable and sent data: the next pause is short again."""
        self.end_outage()
        self._pause_s = POLL_INTERVAL_S

    def pause(self) -> None:
        """Sleep. Each pause is longer than the last one, until `reset`."""
        self._sleep(self._pause_s)

    def _sleep(self, pause_s: float) -> None:
        time.sleep(pause_s)
        self._pause_s = min(_PAUSE_MAX_S, self._pause_s * 2)

    def wait_or_raise(self, error: NoAnswerError) -> None:
        """Sleep after a failed request. Raises its error if the outage or the requested pause is too long."""
        now = time.monotonic()
        if self._outage_started_at is None:
            self._outage_started_at = now
            self._notify(f"{str(error).splitlines()[0]}; will retry")
        retry_after_s = error.retry_after_s or 0
        if now - self._outage_started_at >= OUTAGE_MAX_S or retry_after_s > RETRY_AFTER_MAX_S:
            raise error
        self._sleep(max(self._pause_s, retry_after_s))

    def call(self, send: Callable[[], T]) -> T:
        """Repeat a request until it has an answer, and return that; raises NoAnswerError as `wait_or_raise` does."""
        while True:
            try:
                answer = send()
            except NoAnswerError as error:
                self.wait_or_raise(error)
            else:
                self.reset()
                return answer
