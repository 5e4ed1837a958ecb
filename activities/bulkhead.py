"""The bulkhead: a company whose external system hangs must not take the slots of the others (ADR 0010)."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Bulkhead:
    """Counts what each company has in flight in this process; it remembers no company that has nothing.

    It never waits: whoever waited would do so on a slot of the worker, and those are what it keeps free.
    Orders without a company share one.
    """

    def __init__(self, slots: int) -> None:
        """Let each company have at most so many in flight at once."""
        self.slots = slots
        self._in_flight: Counter[int | None] = Counter()

    @contextmanager
    def slot(self, company_id: int | None) -> Iterator[bool]:
        """Hold one of a company's slots for as long as the context is open, however it ends; False: all are taken."""
        if self._in_flight[company_id] >= self.slots:
            yield False
            return
        self._in_flight[company_id] += 1
        try:
            yield True
        finally:
            self._in_flight[company_id] -= 1
            if self._in_flight[company_id] == 0:
                del self._in_flight[company_id]

    def in_flight(self) -> dict[int | None, int]:
        """Return how many each company has in flight now, for those that have any."""
        return dict(self._in_flight)
