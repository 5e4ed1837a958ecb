"""Wait for what goes on at the API, through its outages: the work there does not depend on this program."""

import time
from collections.abc import Callable
from typing import TypeVar

from cli.api import RETRY_AFTER_MAX_S
from cli.exits import NoAnswerError

POLL_EVERY_S = 0.5
LOST_MAX_S = 120.0
"""Without an answer for so long, the API is given up."""
_PAUSE_MAX_S = 10.0

T = TypeVar("T")


class RetryPolicy:
    """Bears an API that does not answer, for at most `LOST_MAX_S` at a stretch, with growing pauses."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lost_at: float | None = None
        self._pause_s = POLL_EVERY_S

    def reached(self) -> None:
        """Note that the API is there."""
        self._lost_at = None

    def answered(self) -> None:
        """Note that the API is there and has something to say: the next pause is short again."""
        self.reached()
        self._pause_s = POLL_EVERY_S

    def pause(self) -> None:
        """Wait a little, longer each time until there is an answer."""
        self._sleep(self._pause_s)

    def _sleep(self, pause_s: float) -> None:
        time.sleep(pause_s)
        self._pause_s = min(_PAUSE_MAX_S, self._pause_s * 2)

    def wait_or_raise(self, error: NoAnswerError) -> None:
        """Wait a little; raises the error once there has been no answer for too long."""
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
            self._say(f"{str(error).splitlines()[0]}; trying again")
        asked_s = error.retry_after_s or 0
        if now - self._lost_at >= LOST_MAX_S or asked_s > RETRY_AFTER_MAX_S:
            raise error
        self._sleep(max(self._pause_s, asked_s))

    def call(self, ask: Callable[[], T]) -> T:
        """Return the answer of the first attempt that gets one."""
        while True:
            try:
                answer = ask()
            except NoAnswerError as error:
                self.wait_or_raise(error)
            else:
                self.answered()
                return answer
