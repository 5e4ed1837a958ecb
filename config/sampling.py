"""Limits log lines that any caller can cause: at most one of each kind per interval, with the number left out.

Without this limit, a caller without a key could fill a log that is rotated by size, so that all other lines are lost.
The metrics count every case.
"""

import logging
import time
from collections.abc import Callable

import structlog

INTERVAL_S = 10.0
"""Minimum time between two lines of one kind."""
KINDS_MAX = 100
"""Kinds that are counted separately; all further ones count as one kind."""
_OTHER = "other"


class Sampler:
    """Decides which lines are written. A kind must be a constant of the program, never a text from a caller."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def admit(self, kind: str) -> int | None:
        """Return how many lines of this kind were left out since the last written one; None: leave out this one too."""
        if kind not in self._written_at and len(self._written_at) >= KINDS_MAX:
            kind = _OTHER
        now = self._clock()
        if now - self._written_at.get(kind, -INTERVAL_S) < INTERVAL_S:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return None
        self._written_at[kind] = now
        return self._left_out.pop(kind, 0)


class SampledLog:
    """Sampled log of one module, for lines that any caller can cause. The event is the kind, `left_out` the number."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger, sampler: Sampler | None = None) -> None:
        self._log = log
        self._sampler = sampler or Sampler()

    def warning(self, event: str, **fields: object) -> None:
        """Write a warning, or count it as left out."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Write an error, or count it as left out."""
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        left_out = self._sampler.admit(event)
        if left_out is not None:
            self._log.log(level, event, **fields, **({"left_out": left_out} if left_out else {}))


class SampledWarnings(logging.Filter):
    """Sampling for the warnings of a library; the kind is the message template without its arguments."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        super().__init__()
        self._sampler = sampler or Sampler()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is written, and add the number of left out records to its message."""
        if record.levelno != logging.WARNING:
            return True
        left_out = self._sampler.admit(str(record.msg))
        if left_out:
            record.msg = f"{record.msg} ({left_out} more like this were left out)"
        return left_out is not None
