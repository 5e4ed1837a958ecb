"""Log lines that any caller can cause: at most one of a kind per interval, with the number of those left out.

Without this a caller without a key could push everything else out of a log that is rotated by size. The metrics count
every case.
"""

import logging
import time
from collections.abc import Callable

import structlog

INTERVAL_S = 10.0
"""Between two lines of one kind."""
KINDS_MAX = 100
"""Kinds that are told apart; all others count as one."""
_OTHER = "other"


class Sampler:
    """Decides which lines are written. A kind is a constant of the program, never a text from a caller."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def admit(self, kind: str) -> int | None:
        """Return how many lines of this kind were left out since the last one; None: leave out this one as well."""
        if kind not in self._written_at and len(self._written_at) >= KINDS_MAX:
            kind = _OTHER
        now = self._clock()
        if now - self._written_at.get(kind, -INTERVAL_S) < INTERVAL_S:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return None
        self._written_at[kind] = now
        return self._left_out.pop(kind, 0)


class SampledLog:
    """Our own lines of one module that any caller can cause; the event is the kind, `left_out` the number."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger, sampler: Sampler | None = None) -> None:
        self._log = log
        self._sampler = sampler or Sampler()

    def warning(self, event: str, **fields: object) -> None:
        """Write a warning, or count it."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Write an error, or count it."""
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        left_out = self._sampler.admit(event)
        if left_out is not None:
            self._log.log(level, event, **fields, **({"left_out": left_out} if left_out else {}))


class SampledWarnings(logging.Filter):
    """The same for the warnings of a library: the kind is the message before its arguments are filled in."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        super().__init__()
        self._sampler = sampler or Sampler()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is written; one that follows others that were left out says how many."""
        if record.levelno != logging.WARNING:
            return True
        left_out = self._sampler.admit(str(record.msg))
        if left_out:
            record.msg = f"{record.msg} ({left_out} more like this were left out)"
        return left_out is not None
