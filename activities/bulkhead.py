"""The bulkhead: a company whose external system hangs must not take the slots of the others (ADR 0010)."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

OTHERS_REMEMBERED_S = 60.0
"""After its last call a company counts so long as one of several, for which slots must be left."""


class _Seen(NamedTuple):
    company_id: int | None
    at: float


class Bulkhead:
    """Counts what each company has in flight in this process; it remembers at most two companies that have nothing.

    A company that is alone may have `alone` calls in flight at once; beside others that call, or did within
    `OTHERS_REMEMBERED_S`, it may have `slots`. It never waits: whoever waited would do so on a slot of the worker, and
    those are what it keeps free. Orders without a company count as one company.
    """

    def __init__(self, slots: int, alone: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Let each company have `slots` in flight beside others, and `alone` without them; None: as many."""
        self._slots = slots
        self._alone = slots if alone is None else alone
        self._clock = clock
        self._in_flight: Counter[int | None] = Counter()
        self._last: _Seen | None = None
        self._last_of_another: _Seen | None = None

    @contextmanager
    def slot(self, company_id: int | None) -> Iterator[bool]:
        """Hold one of a company's slots for as long as the context is open, however it ends; False: all are taken."""
        self._see(company_id)
        if self._in_flight[company_id] >= self.limit(company_id):
            self._forget_if_nothing(company_id)
            yield False
            return
        self._in_flight[company_id] += 1
        try:
            yield True
        finally:
            self._in_flight[company_id] -= 1
            self._forget_if_nothing(company_id)
            self._see(company_id)

    def limit(self, company_id: int | None) -> int:
        """Return how many calls of a company may be in flight now."""
        others_in_flight = any(each != company_id for each in self._in_flight)
        return self._slots if others_in_flight or self._another_was_seen(company_id) else self._alone

    def in_flight(self) -> dict[int | None, int]:
        """Return how many each company has in flight now, for those that have any."""
        return dict(self._in_flight)

    def _see(self, company_id: int | None) -> None:
        if self._last is not None and self._last.company_id != company_id:
            self._last_of_another = self._last
        self._last = _Seen(company_id, self._clock())

    def _another_was_seen(self, company_id: int | None) -> bool:
        another = self._last if self._last and self._last.company_id != company_id else self._last_of_another
        return another is not None and self._clock() - another.at < OTHERS_REMEMBERED_S

    def _forget_if_nothing(self, company_id: int | None) -> None:
        if self._in_flight[company_id] == 0:
            del self._in_flight[company_id]
