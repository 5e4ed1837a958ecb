"""The bulkhead: limits the calls of one company in flight, so that one slow broker cannot take all slots (ADR 0010)."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

ACTIVE_AFTER_CALL_S = 60.0
"""A company counts as active for this long after its last call; slots are reserved for active companies."""


class _LastCall(NamedTuple):
    company_id: int | None
    at: float


class Bulkhead:
    """Counts the calls in flight in this process by company, and limits them.

    A company may have `slots` calls in flight while another company is active, else `slots_alone`. A company is active
    while it has calls in flight, and for `ACTIVE_AFTER_CALL_S` after its last call. Orders without a company count as
    one company. The bulkhead never waits, because a waiting call would occupy a slot of the worker. Of companies
    without a call in flight, it remembers at most two.
    """

    def __init__(self, slots: int, slots_alone: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Set the limits; by default `slots_alone` equals `slots`. `clock` returns seconds and must be monotonic."""
        self._slots = slots
        self._slots_alone = slots if slots_alone is None else slots_alone
        self._clock = clock
        self._in_flight: Counter[int | None] = Counter()
        self._last_call: _LastCall | None = None
        self._last_call_of_another: _LastCall | None = None

    @contextmanager
    def slot(self, company_id: int | None) -> Iterator[bool]:
        """Hold one slot of a company while the context is open. Yields False if the company's limit is reached."""
        self._note_call(company_id)
        if self._in_flight[company_id] >= self.limit(company_id):
            self._remove_if_idle(company_id)
            yield False
            return
        self._in_flight[company_id] += 1
        try:
            yield True
        finally:
            self._in_flight[company_id] -= 1
            self._remove_if_idle(company_id)
            self._note_call(company_id)

    def limit(self, company_id: int | None) -> int:
        """Return the current maximum of calls in flight for a company."""
        others_in_flight = any(each != company_id for each in self._in_flight)
        return self._slots if others_in_flight or self._another_is_active(company_id) else self._slots_alone

    def in_flight(self) -> dict[int | None, int]:
        """Return the number of calls in flight by company, without companies that have none."""
        return dict(self._in_flight)

    def _note_call(self, company_id: int | None) -> None:
        if self._last_call is not None and self._last_call.company_id != company_id:
            self._last_call_of_another = self._last_call
        self._last_call = _LastCall(company_id, self._clock())

    def _another_is_active(self, company_id: int | None) -> bool:
        another = (
            self._last_call
            if self._last_call and self._last_call.company_id != company_id
            else self._last_call_of_another
        )
        return another is not None and self._clock() - another.at < ACTIVE_AFTER_CALL_S

    def _remove_if_idle(self, company_id: int | None) -> None:
        if self._in_flight[company_id] == 0:
            del self._in_flight[company_id]
